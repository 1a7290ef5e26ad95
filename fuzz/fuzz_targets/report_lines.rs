//! A batch's bytes, whatever they are: every line that is not blank is a report or a refusal, and
//! the scanner never understands a line otherwise than serde does.

#![no_main]

use std::sync::LazyLock;

use brownout::intake::{BatchLine, Line, TokenGrant, World, judge};
use brownout_core::model::{
    Catalogue, Category, ChannelId, Geography, Policy, Service, ServiceId, UtcTime, Weight,
};
use brownout_core::report::PartnerKey;
use libfuzzer_sys::fuzz_target;

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let service = Service::new(ServiceId(1), "x", "X", Category::Social);
    let catalogue = Catalogue::new(vec![service]).expect("one good service");
    World::new(catalogue.into(), Geography::default().into(), &Policy::default())
});

fuzz_target!(|bytes: &[u8]| {
    let grant = TokenGrant { channel: ChannelId(16), virtual_clock: true, weight: Weight::FULL };
    let key = PartnerKey::fixed(grant.channel);
    let Ok(judged) = judge(bytes, &WORLD, grant, &key, UtcTime::MAX) else { return };
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.iter().all(u8::is_ascii_whitespace));
    assert_eq!(judged.evidence.len() as u64 + judged.refused_total(), lines.count() as u64);
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Some(line) = Line::scan(text)
    {
        let slowly = BatchLine::parse(text).expect("serde takes what the scanner takes");
        assert_eq!(slowly.as_line(), line);
    }
});
