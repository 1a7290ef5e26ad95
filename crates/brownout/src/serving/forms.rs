//! The pages around the report form, as intake wants them.

use std::sync::{Arc, OnceLock};

use brownout_core::model::Weight;
use brownout_web::{FormField, FormProblem, WebState, render_not_found, render_report_form};

use super::Later;
use crate::intake::{FormPages, FormReport, Problem, Reason, Receipt};

/// Renders the form again when something is wrong with it. Knows its site once that is there.
#[derive(Default)]
pub struct SitePages {
    site: Later<WebState>,
}

impl SitePages {
    /// Where to put the site.
    pub(super) fn state(&self) -> Arc<OnceLock<WebState>> {
        self.site.clone()
    }
}

/// The part of the form that a refusal is about.
fn field_of(reason: Reason) -> Option<FormField> {
    match reason {
        Reason::KindMissing | Reason::UnknownKind => Some(FormField::Kind),
        Reason::BadPlace => Some(FormField::Place),
        Reason::CommentTooLong => Some(FormField::Comment),
        _ => None,
    }
}

impl FormPages for SitePages {
    fn problem(&self, slug: &str, entered: &FormReport, problem: &Problem) -> String {
        let Some(site) = self.site.get() else { return String::new() };
        let snapshot = site.current();
        let Some(service) = snapshot.catalogue.find(slug) else { return render_not_found(site) };
        let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let again = FormProblem {
            message: problem.detail.clone(),
            field: field_of(problem.reason),
            kind: filled(&entered.kind),
            country: filled(&entered.country),
            city: filled(&entered.city),
            comment: filled(&entered.comment),
        };
        render_report_form(site, service, Some(&again), site.challenge_url())
    }

    fn done_location(&self, slug: &str, receipt: &Receipt) -> String {
        let base = self.site.get().map_or("", |site| site.base_path());
        let reduced = if receipt.weight == Weight::FULL { "" } else { "?weight=reduced" };
        format!("{base}/s/{slug}/reported{reduced}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_stands_beside_the_field_that_it_is_about() {
        assert_eq!(field_of(Reason::KindMissing), Some(FormField::Kind));
        assert_eq!(field_of(Reason::BadPlace), Some(FormField::Place));
        assert_eq!(field_of(Reason::CommentTooLong), Some(FormField::Comment));
        assert_eq!(field_of(Reason::Overloaded), None);
    }
}
