//! Plays a scenario: bodies for the batch intake, in the order of a virtual clock.

mod stream;

use std::collections::VecDeque;
use std::sync::Arc;

use brownout_core::model::{CountryCode, Minute, UtcTime};

use crate::rng::Rng;
use crate::scenario::{Event, EventShape, Focus, Scenario};
use stream::{Pick, Stream, Wheel};

/// How much virtual time each step covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Seconds per step: 1 to 60 and a divisor of 60, or whole minutes up to ten. Other figures
    /// are brought down to the next such one.
    pub step_seconds: u32,
    /// The same for the warm-up, where coarse steps save requests. It stays below the time after
    /// which reports are late.
    pub warm_up_step_seconds: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { step_seconds: 60, warm_up_step_seconds: 600 }
    }
}

/// What comes in during a stretch of virtual time by one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The end of the stretch: when the body is sent. Every line in it is earlier, by less than the
    /// step's length.
    pub clock: UtcTime,
    /// The channel by which it comes.
    pub channel: Arc<str>,
    /// Lines of JSON, each ended by a line feed. Empty when nobody reported.
    pub body: Vec<u8>,
    /// How many lines these are.
    pub lines: u32,
    /// Views of services' pages meanwhile, on the first channel's step; they are no reports.
    pub page_views: Vec<Views>,
}

/// Views of a service's page in a minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Views {
    /// The minute.
    pub at: UtcTime,
    /// The service's slug.
    pub service: String,
    /// The readers' country.
    pub country: Option<CountryCode>,
    /// How many.
    pub count: u32,
}

/// An iterator over the steps of a scenario. The same scenario, seed and pace give the same bytes.
///
/// There is at least one step for every stretch of time, empty or not, so that the clock moves; a
/// further channel has a step only when it has lines.
#[derive(Debug)]
pub struct Player {
    scenario: Arc<Scenario>,
    pace: Pace,
    streams: Vec<Stream>,
    channels: Vec<Arc<str>>,
    channel_wheel: Wheel,
    rng: Rng,
    /// The next minute to be made.
    minute: u32,
    end: u32,
    /// Lines of the minute by second, reused.
    seconds: Vec<Vec<Pick>>,
    /// Page views of the step that is being filled.
    views: Vec<Views>,
    /// Bodies of the step that is being filled, by channel.
    filling: Vec<(Vec<u8>, u32)>,
    ready: VecDeque<Step>,
}

impl Player {
    /// Plays from the beginning of the warm-up, with the scenario's own seed unless one is given.
    pub fn new(scenario: Arc<Scenario>, seed: Option<u64>, pace: Pace) -> Self {
        let seed = seed.unwrap_or(scenario.seed);
        let channels: Vec<Arc<str>> =
            scenario.channels.iter().map(|(name, _)| name.as_str().into()).collect();
        Player {
            pace: Pace {
                step_seconds: whole_step(pace.step_seconds),
                warm_up_step_seconds: whole_step(pace.warm_up_step_seconds),
            },
            streams: stream::all(&scenario, seed),
            channel_wheel: Wheel::new(scenario.channels.iter().map(|(_, share)| *share), false),
            rng: Rng::new(seed, u64::MAX),
            minute: scenario.plays_from().minute().0,
            end: scenario.end.minute().0,
            seconds: vec![Vec::new(); 60],
            views: Vec::new(),
            filling: vec![(Vec::new(), 0); channels.len()],
            ready: VecDeque::new(),
            channels,
            scenario,
        }
    }

    /// Makes one minute and hands over the steps that it completes.
    fn play_minute(&mut self) {
        let minute = self.minute;
        self.minute += 1;
        let warm_up = minute < self.scenario.start.minute().0;
        let step = if warm_up { self.pace.warm_up_step_seconds } else { self.pace.step_seconds };
        self.gather(minute);
        let stamp = Minute(minute).start().to_string();
        // "2025-03-10T10:02:" and then the seconds.
        let stamp = stamp.as_bytes().get(..17).unwrap_or_default().to_vec();
        for second in 0..60_u32 {
            let picks = std::mem::take(&mut self.seconds[second as usize]);
            for pick in &picks {
                let (body, lines) = &mut self.filling[usize::from(pick.channel)];
                self.streams[pick.stream as usize].write(body, pick, &stamp, second);
                *lines += 1;
            }
            self.seconds[second as usize] = picks;
            self.seconds[second as usize].clear();
            if step < 60 && (second + 1) % step == 0 {
                self.complete(Minute(minute).start().plus_seconds(i64::from(second) + 1));
            }
        }
        let warm_up_ends = self.minute == self.scenario.start.minute().0;
        let at_boundary = self.minute.is_multiple_of(step / 60 + u32::from(step < 60));
        if step >= 60 && (at_boundary || warm_up_ends || self.minute == self.end) {
            self.complete(Minute(self.minute).start());
        }
    }

    /// Everybody who reports in a minute, by second.
    fn gather(&mut self, minute: u32) {
        let now = |event: &&Event| event.start.minute().0 <= minute && minute < event.end.minute().0;
        let silences = self.scenario.events.iter().filter(|event| event.shape == EventShape::Silence);
        let silences: Vec<Focus> = silences.filter(now).map(|event| event.focus).collect();
        for index in 0..self.streams.len() {
            let count = self.streams[index].count(&self.scenario, minute);
            let country = self.streams[index].scope().country;
            let is_silent = silences.iter().any(|focus| match focus {
                Focus::Country(silent) => country == Some(*silent),
                _ => true,
            });
            if !is_silent && count > 0 {
                let (seconds, wheel, rng) = (&mut self.seconds, &self.channel_wheel, &mut self.rng);
                let take = |second: u32, mut pick: Pick| {
                    pick.stream = index as u32;
                    pick.channel = wheel.pick(rng);
                    seconds[second as usize].push(pick);
                };
                self.streams[index].reports(minute, count, self.scenario.repeats, take);
                let scope = self.streams[index].scope();
                let known = self.scenario.page_views.iter().find(|(service, _)| *service == scope.service);
                let views = known.map_or(0.0, |(_, per_report)| f64::from(count) * per_report) as u32;
                if views > 0 {
                    let service = self.scenario.services[scope.service].slug.clone();
                    let at = Minute(minute).start();
                    self.views.push(Views { at, service, country: scope.country, count: views });
                }
            }
        }
    }

    fn complete(&mut self, clock: UtcTime) {
        for (index, (body, lines)) in self.filling.iter_mut().enumerate() {
            if index == 0 || *lines > 0 {
                // The next body will be about as long.
                let empty = Vec::with_capacity(body.len());
                let body = std::mem::replace(body, empty);
                let channel = Arc::clone(&self.channels[index]);
                let page_views = std::mem::take(&mut self.views);
                self.ready.push_back(Step { clock, channel, body, lines: std::mem::take(lines), page_views });
            }
        }
    }
}

impl Iterator for Player {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        while self.ready.is_empty() && self.minute < self.end {
            self.play_minute();
        }
        self.ready.pop_front()
    }
}

fn whole_step(seconds: u32) -> u32 {
    match seconds {
        0..60 => (1..=seconds.max(1)).rev().find(|step| 60 % step == 0).unwrap_or(1),
        _ => seconds.min(600) / 60 * 60,
    }
}
