//! The report form and the pages that answer it. Taking the report is the intake's part.

use askama::Template;
use brownout_core::model::{ProblemKind, Service};

use super::{render, world};
use crate::respond::Failure;
use crate::site::WebState;
use crate::view::{Shell, View};
use crate::zone::{Zone, counted, duration};

#[derive(Template)]
#[template(path = "report_choose.html")]
struct Choose {
    shell: Shell,
    query: String,
    groups: Vec<world::Group>,
    hidden: usize,
}

/// The page on which a reader picks the service.
pub(crate) fn choose(view: &View, query: &str) -> Result<String, Failure> {
    let (groups, hidden) = world::groups(view, query);
    render(&Choose {
        shell: view.shell(&format!("Report a problem - {}", view.site.options.title), ""),
        query: query.to_owned(),
        groups,
        hidden,
    })
}

/// A part of the form in which something has to be mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormField {
    /// The choice of what is wrong.
    Kind,
    /// Country and city.
    Place,
    /// The comment.
    Comment,
}

/// Why a form is shown again, with what the reader had entered. All text is escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormProblem {
    /// One sentence that says what to mend.
    pub message: String,
    /// Where to mend it; the sentence stands there. `None` is for the form as a whole.
    pub field: Option<FormField>,
    /// The `kind` that was chosen.
    pub kind: Option<String>,
    /// The `country` that was chosen.
    pub country: Option<String>,
    /// The `city` that was entered.
    pub city: Option<String>,
    /// The `comment` that was entered.
    pub comment: Option<String>,
}

#[derive(Template)]
#[template(path = "report_form.html")]
struct Form<'a> {
    shell: Shell,
    name: &'a str,
    service_href: String,
    action: String,
    amiss: Amiss<'a>,
    challenge: Option<&'a str>,
    kinds: Vec<KindChoice>,
    more: bool,
    countries: Vec<CountryChoice<'a>>,
    city: &'a str,
    comment: &'a str,
    comments: bool,
}

/// What is wrong, in the place where it is said; at most one of these.
#[derive(Default)]
struct Amiss<'a> {
    whole: Option<&'a str>,
    kind: Option<&'a str>,
    place: Option<&'a str>,
    comment: Option<&'a str>,
}

impl<'a> Amiss<'a> {
    fn new(problem: &'a FormProblem) -> Self {
        let message = Some(problem.message.as_str());
        match problem.field {
            None => Amiss { whole: message, ..Amiss::default() },
            Some(FormField::Kind) => Amiss { kind: message, ..Amiss::default() },
            Some(FormField::Place) => Amiss { place: message, ..Amiss::default() },
            Some(FormField::Comment) => Amiss { comment: message, ..Amiss::default() },
        }
    }
}

struct KindChoice {
    slug: &'static str,
    label: &'static str,
    checked: bool,
}

struct CountryChoice<'a> {
    code: String,
    name: &'a str,
    chosen: bool,
}

/// The form for one service. Its fields are `kind` (a slug of [`ProblemKind`]), `country` (ISO alpha-2
/// or empty), `city`, `comment` (at most 500 characters) and `altcha` (empty, or the payload of a
/// solved challenge); it is sent by POST to the address it is shown at.
///
/// `problem` shows it again with what to mend; `challenge_url` has the script solve a proof of work.
pub fn render_report_form(
    state: &WebState,
    service: &Service,
    problem: Option<&FormProblem>,
    challenge_url: Option<&str>,
) -> String {
    let view = now(state);
    form(&view, service, problem, challenge_url).unwrap_or_default()
}

pub(crate) fn form(
    view: &View,
    service: &Service,
    problem: Option<&FormProblem>,
    challenge: Option<&str>,
) -> Result<String, Failure> {
    let entered = |field: fn(&FormProblem) -> &Option<String>| {
        problem.and_then(|problem| field(problem).as_deref()).unwrap_or("")
    };
    let kind = entered(|problem| &problem.kind);
    let country = entered(|problem| &problem.country);
    let (city, comment) = (entered(|problem| &problem.city), entered(|problem| &problem.comment));
    let mut countries: Vec<CountryChoice<'_>> = view
        .site
        .geography
        .countries()
        .map(|one| CountryChoice {
            code: one.code.to_string(),
            name: &one.name,
            chosen: one.code.as_str().eq_ignore_ascii_case(country),
        })
        .collect();
    countries.sort_by(|a, b| a.name.cmp(b.name));
    let title = match problem {
        Some(_) => format!("Please mend: report a problem with {}", service.name),
        None => format!("Report a problem with {}", service.name),
    };
    render(&Form {
        shell: view.shell(&title, ""),
        name: &service.name,
        service_href: view.service_link(service),
        action: format!("{}/s/{}/report", view.site.options.base_path, service.slug),
        amiss: problem.map(Amiss::new).unwrap_or_default(),
        challenge,
        kinds: ProblemKind::ALL
            .into_iter()
            .map(|one| KindChoice { slug: one.slug(), label: one.label(), checked: one.slug() == kind })
            .collect(),
        more: !(country.is_empty() && city.is_empty() && comment.is_empty())
            || problem
                .is_some_and(|problem| matches!(problem.field, Some(FormField::Place | FormField::Comment))),
        countries,
        city,
        comment,
        comments: view.site.options.comments,
    })
}

#[derive(Template)]
#[template(path = "report_answer.html")]
struct Answer {
    shell: Shell,
    heading: &'static str,
    class: &'static str,
    lines: Vec<String>,
    href: String,
    back: String,
    link_words: String,
}

/// The page that thanks for a report, as `GET /s/{slug}/reported` shows it. `in_full` is false for a
/// report without the proof of work that was asked for, which `?weight=reduced` says.
pub fn render_report_done(state: &WebState, service: &Service, in_full: bool) -> String {
    let view = now(state);
    let observed = view.snapshot.service(&service.slug).map_or(0, |status| status.observed);
    let mut lines = vec![format!("Your report on {} is kept.", service.name)];
    lines.push(if in_full {
        format!(
            "However often you report it, your connection counts once, and again only after {} without a report from it. It shows on the page within a minute.",
            view.counting().silence()
        )
    } else {
        "So many reports come in now that one without your browser’s short check counts less.".to_owned()
    });
    if observed > 0 {
        lines.push(format!("{} in the last 15 min.", counted(observed.into(), "report", "reports")));
    }
    answer(&view, service, "Thank you", "calm", lines)
}

/// The page for a report that was not taken. `retry_after_seconds` says when trying again may help.
pub fn render_report_refused(
    state: &WebState,
    service: &Service,
    reason: &str,
    retry_after_seconds: Option<u32>,
) -> String {
    let view = now(state);
    let mut lines = vec![reason.to_owned()];
    if let Some(seconds) = retry_after_seconds {
        lines.push(format!("Please try again in {}.", duration(seconds.into())));
    }
    answer(&view, service, "Your report was not taken", "possible", lines)
}

fn answer(
    view: &View,
    service: &Service,
    heading: &'static str,
    class: &'static str,
    lines: Vec<String>,
) -> String {
    let page = Answer {
        shell: view.shell(&format!("{heading} - {}", view.site.options.title), ""),
        heading,
        class,
        lines,
        href: view.service_link(service),
        back: service.name.clone(),
        link_words: format!("See how {} is doing", service.name),
    };
    render(&page).unwrap_or_default()
}

fn now(state: &WebState) -> View {
    View { site: state.clone(), snapshot: state.snapshot.load_full(), zone: Zone::utc() }
}
