//! The frame every page shares: head, style, heading and the sections' order.

use super::colour::{self, Scheme};
use super::format::escape;

/// A titled part of a page; one without a body is left out.
pub(super) struct Section<'a> {
    id: &'a str,
    title: &'a str,
    body: String,
}

impl<'a> Section<'a> {
    /// A section reachable as `#id`.
    pub(super) fn new(id: &'a str, title: &'a str, body: String) -> Self {
        Self { id, title, body }
    }
}

/// A page's heading as HTML, of plain text: remarks that must not be missed, what kind of page it
/// is, its title and named facts.
pub(super) fn heading<'a>(
    notices: impl IntoIterator<Item = &'a str>,
    kind: &str,
    title: &str,
    facts: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let notices: String = notices
        .into_iter()
        .map(|notice| format!("<p class=\"notice\" role=\"note\">{}</p>", escape(notice)))
        .collect();
    let facts: String = facts
        .into_iter()
        .map(|(name, value)| {
            format!(
                "<div><dt>{}</dt><dd>{}</dd></div>",
                escape(name),
                escape(value)
            )
        })
        .collect();
    format!(
        "{notices}<p class=\"eyebrow\">{}</p><h1>{}</h1><dl class=\"facts\">{facts}</dl>",
        escape(kind),
        escape(title)
    )
}

/// A whole page: `header` is HTML, `title` is text.
///
/// The content-security policy allows inline styles and embedded pictures and nothing else, so
/// the page can neither run a script nor ask the network for anything.
pub(super) fn render(title: &str, header: &str, sections: &[Section<'_>]) -> String {
    let present = || sections.iter().filter(|section| !section.body.is_empty());
    let contents: String = present()
        .map(|section| format!("<li><a href=\"#{}\">{}</a></li>", section.id, section.title))
        .collect();
    let contents = if present().count() > 1 {
        format!("<nav aria-label=\"Sections\"><ul>{contents}</ul></nav>")
    } else {
        String::new()
    };
    let body: String = present()
        .map(|section| {
            format!(
                "<section id=\"{id}\" aria-labelledby=\"{id}-title\">\
                 <h2 id=\"{id}-title\">{}</h2>{}</section>\n",
                section.title,
                section.body,
                id = section.id
            )
        })
        .collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{}</title>\n<style>\n{}</style>\n</head>\n<body>\n\
         <header>{header}{contents}</header>\n<main>\n{body}</main>\n</body>\n</html>\n",
        escape(title),
        style(),
    )
}

/// The style sheet with the colour ramps of both schemes.
fn style() -> String {
    format!(
        "{}{}{}@media (prefers-color-scheme: dark) {{\n{}}}\n@media print {{\n{}}}\n",
        include_str!("style.css"),
        include_str!("readings.css"),
        colour::sheet_rules(Scheme::Light),
        colour::sheet_rules(Scheme::Dark),
        colour::sheet_rules(Scheme::Light),
    )
}
