//! Makes one WGSL shader out of a file of `shaders/`, shared parts and the constants of a launch.
//!
//! WGSL has neither includes nor conditional code, and its loops are not unrolled on every device.
//! The files stay readable WGSL; what is done to them stands in comments:
//!
//! | line | effect |
//! |---|---|
//! | `//# include shared/name.wgsl FLAG …` | the file's lines, in which these flags hold too |
//! | `//# if FLAG`, `//# if !FLAG`, `//# else`, `//# end` | lines that depend on a flag |
//! | `//# repeat i COUNT`, `//# end` | lines once for each `i` below a number or a value |
//! | `//# binding name type` | a storage buffer at the next binding |
//! | `//# info` | the launch's numbers as `info: array<u32>`, the last binding |
//!
//! `{{NAME}}` is replaced by a value or by the variable of a `repeat`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Constants of a shader: numbers and texts by name. A flag is a name that has a value.
pub(crate) type Values = BTreeMap<&'static str, String>;

/// What is wrong with a shader file. Only a mistake in the file itself can cause it, and
/// `every_permutation_is_valid` expands them all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TemplateError {
    /// An `include` or a kernel that isn't there.
    #[error("no shader file is called '{0}'")]
    File(String),
    /// A name without a value.
    #[error("'{0}' has no value")]
    Value(String),
    /// A count that is no number.
    #[error("'{0}' is no count")]
    Count(String),
    /// A directive that nobody knows.
    #[error("'{0}' is no directive")]
    Directive(String),
    /// A block without its end, or an end without its block.
    #[error("'{0}' is not closed, or closes nothing")]
    Block(String),
}

/// Expands `file`; `open` gives the text of a file.
pub(crate) fn expand(
    file: &str,
    values: &Values,
    open: &dyn Fn(&str) -> Option<&'static str>,
) -> Result<String, TemplateError> {
    let text = open(file).ok_or_else(|| TemplateError::File(file.to_owned()))?;
    let mut expansion = Expansion {
        values,
        open,
        raised: Vec::new(),
        loops: Vec::new(),
        bindings: 0,
        output: String::with_capacity(2 * text.len()),
    };
    expansion.lines(&text.lines().collect::<Vec<_>>())?;
    Ok(expansion.output)
}

struct Expansion<'a> {
    values: &'a Values,
    open: &'a dyn Fn(&str) -> Option<&'static str>,
    /// Flags that hold in the included files that are being expanded.
    raised: Vec<&'a str>,
    loops: Vec<(&'a str, usize)>,
    bindings: usize,
    output: String,
}

fn directive(line: &str) -> Option<Vec<&str>> {
    let words = line.trim_start().strip_prefix("//#")?;
    Some(words.split_whitespace().collect())
}

/// Index of the line that ends the block whose body starts at `lines[0]`, and of its `else`.
fn block_end(lines: &[&str]) -> Option<(Option<usize>, usize)> {
    let mut depth = 0_usize;
    let mut otherwise = None;
    for (index, line) in lines.iter().enumerate() {
        match directive(line).as_deref() {
            Some(["if" | "repeat", ..]) => depth += 1,
            Some(["else"]) if depth == 0 => otherwise = Some(index),
            Some(["end"]) if depth == 0 => return Some((otherwise, index)),
            Some(["end"]) => depth -= 1,
            _ => {}
        }
    }
    None
}

impl<'a> Expansion<'a> {
    fn lines(&mut self, lines: &[&'a str]) -> Result<(), TemplateError> {
        let mut at = 0;
        while at < lines.len() {
            let line = lines[at];
            at += 1;
            let Some(words) = directive(line) else {
                let line = self.substitute(line)?;
                self.output.push_str(&line);
                self.output.push('\n');
                continue;
            };
            match words.as_slice() {
                ["if" | "repeat", ..] => {
                    let (otherwise, end) = block_end(&lines[at..])
                        .ok_or_else(|| TemplateError::Block(line.trim().to_owned()))?;
                    let body = &lines[at..at + otherwise.unwrap_or(end)];
                    let rest = otherwise.map_or(&[][..], |from| &lines[at + from + 1..at + end]);
                    self.block(&words, body, rest)?;
                    at += end + 1;
                }
                ["include", file, flags @ ..] => {
                    let text =
                        (self.open)(file).ok_or_else(|| TemplateError::File((*file).to_owned()))?;
                    let outside = self.raised.len();
                    self.raised.extend(flags);
                    self.lines(&text.lines().collect::<Vec<_>>())?;
                    self.raised.truncate(outside);
                }
                ["binding", name, kind @ ..] => {
                    let kind = self.substitute(&kind.join(" "))?;
                    self.binding(name, "read_write", &kind);
                }
                ["info"] => self.binding("info", "read", "u32"),
                ["else" | "end"] => return Err(TemplateError::Block(line.trim().to_owned())),
                _ => return Err(TemplateError::Directive(line.trim().to_owned())),
            }
        }
        Ok(())
    }

    fn block(
        &mut self,
        words: &[&'a str],
        body: &[&'a str],
        otherwise: &[&'a str],
    ) -> Result<(), TemplateError> {
        match *words {
            ["if", flag] => {
                let is_set =
                    |flag: &str| self.values.contains_key(flag) || self.raised.contains(&flag);
                let holds = match flag.strip_prefix('!') {
                    Some(flag) => !is_set(flag),
                    None => is_set(flag),
                };
                self.lines(if holds { body } else { otherwise })
            }
            ["repeat", variable, count] => {
                for index in 0..self.count(count)? {
                    self.loops.push((variable, index));
                    let result = self.lines(body);
                    self.loops.pop();
                    result?;
                }
                Ok(())
            }
            _ => Err(TemplateError::Directive(words.join(" "))),
        }
    }

    /// All tensors are bound for reading and writing: several of them lie in one buffer of the
    /// memory pool, and WebGPU forbids one dispatch to use a buffer in two ways.
    fn binding(&mut self, name: &str, access: &str, kind: &str) {
        let _ = writeln!(
            self.output,
            "@group(0) @binding({}) var<storage, {access}> {name}: array<{kind}>;",
            self.bindings
        );
        self.bindings += 1;
    }

    fn count(&self, count: &str) -> Result<usize, TemplateError> {
        let number = match self.values.get(count) {
            Some(value) => value.as_str(),
            None => count,
        };
        number
            .parse()
            .map_err(|_| TemplateError::Count(count.to_owned()))
    }

    fn substitute(&self, line: &str) -> Result<String, TemplateError> {
        let mut output = String::with_capacity(line.len());
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after
                .split_once("}}")
                .ok_or_else(|| TemplateError::Value(after.to_owned()))?;
            output.push_str(before);
            if let Some((_, index)) = self.loops.iter().rev().find(|(var, _)| *var == name) {
                let _ = write!(output, "{index}");
            } else {
                let value = self.values.get(name);
                output.push_str(value.ok_or_else(|| TemplateError::Value(name.to_owned()))?);
            }
            rest = after;
        }
        output.push_str(rest);
        Ok(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(
        text: &'static str,
        values: &[(&'static str, &str)],
    ) -> Result<String, TemplateError> {
        let values = values
            .iter()
            .map(|&(name, value)| (name, value.to_owned()))
            .collect();
        let open = |name: &str| match name {
            "main" => Some(text),
            "part" => Some("part {{N}}"),
            "choice" => Some("//# if A\na\n//# else\nno a\n//# end"),
            _ => None,
        };
        expand("main", &values, &open)
    }

    #[test]
    fn flags_choose_lines_and_nest() {
        let text = "//# if A\na\n//# if !B\nnot b\n//# else\nb\n//# end\n//# else\nno a\n//# end";
        assert_eq!(expanded(text, &[]).unwrap(), "no a\n");
        assert_eq!(expanded(text, &[("A", "")]).unwrap(), "a\nnot b\n");
        assert_eq!(expanded(text, &[("A", ""), ("B", "")]).unwrap(), "a\nb\n");
    }

    #[test]
    fn an_include_raises_flags_for_its_own_lines() {
        let text = "//# include choice\n//# include choice B A\n//# include choice";
        assert_eq!(expanded(text, &[]).unwrap(), "no a\na\nno a\n");
    }

    #[test]
    fn repeats_count_and_shadow_values() {
        let text = "//# repeat i N\n//# repeat j 2\nx_{{i}}_{{j}}\n//# end\n//# end";
        let lines = "x_0_0\nx_0_1\nx_1_0\nx_1_1\n";
        assert_eq!(expanded(text, &[("N", "2"), ("i", "9")]).unwrap(), lines);
    }

    #[test]
    fn bindings_are_numbered_in_order_of_appearance() {
        let text = "//# if X\n//# binding x f32\n//# end\n//# binding y vec4<f32>\n//# info\n//# include part";
        let short = expanded(text, &[("N", "3")]).unwrap();
        assert!(short.contains("@binding(0) var<storage, read_write> y: array<vec4<f32>>;"));
        assert!(short.contains("@binding(1) var<storage, read> info: array<u32>;"));
        assert!(short.ends_with("part 3\n"));
        let long = expanded(text, &[("N", "3"), ("X", "")]).unwrap();
        assert!(long.contains("@binding(2) var<storage, read> info"));
    }

    #[test]
    fn mistakes_are_named() {
        let message = |text| expanded(text, &[]).unwrap_err().to_string();
        assert_eq!(message("{{K}}"), "'K' has no value");
        assert_eq!(message("//# repeat i K\n//# end"), "'K' is no count");
        assert_eq!(
            message("//# include nothing"),
            "no shader file is called 'nothing'"
        );
        assert_eq!(
            message("//# if A\na"),
            "'//# if A' is not closed, or closes nothing"
        );
        assert_eq!(
            message("//# end"),
            "'//# end' is not closed, or closes nothing"
        );
        assert_eq!(message("//# unless A"), "'//# unless A' is no directive");
    }
}
