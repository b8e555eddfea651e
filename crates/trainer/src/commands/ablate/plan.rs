//! Every variant once, and which tables show it.

use super::variants::{FULL, Table, Variant, beta_rows, subject_rows, tower_rows};

/// A table's rows, as places in [`Plan::variants`].
#[derive(Clone, Debug, PartialEq)]
pub struct TablePlan {
    /// Which.
    pub table: Table,
    /// Rows in order.
    pub rows: Vec<usize>,
    /// The row that the others are compared with.
    pub base: usize,
}

/// Every variant once, and the tables made of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The variants, in the order they are trained.
    pub variants: Vec<Variant>,
    /// The tables.
    pub tables: Vec<TablePlan>,
}

/// What a plan can be told.
#[derive(Clone, Debug)]
pub struct PlanOptions {
    /// The tables wanted.
    pub tables: Vec<Table>,
    /// Depths of SAAM, within the frame encoder's layers.
    pub saam_layers: Vec<usize>,
    /// Strengths of the sentiment guidance in Fig. 6 besides 0 and `beta`.
    pub betas: Vec<f64>,
    /// The strength that SAP + SNCE has.
    pub beta: f64,
}

impl Plan {
    /// The variants of some tables; one that stands in several is trained once.
    pub fn new(options: &PlanOptions) -> Self {
        let mut plan = Self {
            variants: Vec::new(),
            tables: Vec::new(),
        };
        let mut tables = options.tables.clone();
        tables.sort_unstable();
        tables.dedup();
        for table in tables {
            let (rows, base) = match table {
                Table::Subject => (subject_rows(options), "vanilla"),
                Table::Towers => (tower_rows(options), FULL),
                Table::Beta => (beta_rows(options), "sap"),
            };
            let rows: Vec<usize> = rows.into_iter().map(|row| plan.place(row)).collect();
            let is_base = |row: &&usize| plan.variants[**row].slug == base;
            let base = rows.iter().find(is_base).copied().unwrap_or_default();
            plan.tables.push(TablePlan { table, rows, base });
        }
        plan
    }

    /// Where a variant stands; it is added if it isn't there yet.
    fn place(&mut self, variant: Variant) -> usize {
        let known = self
            .variants
            .iter()
            .position(|other| other.slug == variant.slug);
        known.unwrap_or_else(|| {
            self.variants.push(variant);
            self.variants.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::variants::BETAS;
    use super::*;

    fn plan(tables: &[Table]) -> Plan {
        Plan::new(&PlanOptions {
            tables: tables.to_vec(),
            saam_layers: vec![1, 2],
            betas: BETAS.to_vec(),
            beta: 1.0,
        })
    }

    #[test]
    fn shared_variants_are_trained_once() {
        let plan = plan(&[Table::Beta, Table::Subject, Table::Towers, Table::Subject]);
        let slugs: BTreeSet<&str> = plan.variants.iter().map(|one| one.slug.as_str()).collect();
        assert_eq!(slugs.len(), plan.variants.len());
        assert_eq!(plan.tables.len(), 3);
        let rows = |place: usize| -> Vec<&str> {
            let rows = plan.tables[place].rows.iter();
            rows.map(|row| plan.variants[*row].slug.as_str()).collect()
        };
        assert_eq!(rows(0), ["vanilla", "saam-1", "saam-2", "sap", "sap-snce"]);
        assert_eq!(rows(1).len(), 10);
        assert_eq!(
            rows(2),
            [
                "sap", "beta-0.1", "beta-0.3", "sap-snce", "beta-3", "beta-10", "beta-30"
            ]
        );
        // 5, 9 more, 5 more.
        assert_eq!(plan.variants.len(), 19);
        let bases: Vec<&str> = plan
            .tables
            .iter()
            .map(|table| plan.variants[table.base].slug.as_str())
            .collect();
        assert_eq!(bases, ["vanilla", "sap-snce", "sap"]);
    }

    #[test]
    fn every_variant_changes_something() {
        let plan = plan(&Table::ALL);
        for (place, one) in plan.variants.iter().enumerate() {
            for other in &plan.variants[..place] {
                let same = (one.subject, one.towers, one.fusion)
                    == (other.subject, other.towers, other.fusion)
                    && one.beta == other.beta;
                assert!(!same, "{} and {}", one.slug, other.slug);
            }
        }
        // Only the sentiment guidance and what it is compared with have it on.
        let table = |slug: &str| plan.variants.iter().find(|one| one.slug == slug).unwrap();
        for slug in ["vanilla", "saam-1", "sap"] {
            assert_eq!(table(slug).beta, 0.0, "{slug}");
        }
        assert!(!table("all-random").needs_pretraining());
        assert!(table("temporal-random").needs_pretraining());
        assert!(table("temporal-mean").needs_pretraining());
    }
}
