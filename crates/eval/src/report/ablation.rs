//! The report of a sweep over variants of a model: every variant's scores over seeds, how far it is
//! from a base variant trained on the same seeds, and what is published, as a page, as Markdown and,
//! by `Serialize`, as JSON.

mod data;
mod figure;
mod markdown;
mod page;
mod paired;

pub use data::{
    AblationReport, AblationRow, AblationRun, AblationScores, AblationTable, PeopleScore,
    PretrainingNote,
};
pub use paired::{Difference, paired_difference};

impl AblationReport {
    /// The report as one self-contained HTML page.
    pub fn to_html(&self) -> String {
        page::render(self)
    }

    /// The report as Markdown: the same tables, without the figure.
    pub fn to_markdown(&self) -> String {
        markdown::render(self)
    }
}
