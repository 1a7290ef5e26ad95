//! Files of frames, whatever their bytes are: every byte is accounted for, and what decodes
//! encodes to the same record again.

#![no_main]

use brownout_store::embedded::frame::{FrameScan, Scanned};
use brownout_store::embedded::wire;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut scan = FrameScan::new(bytes);
    let (mut seen, mut evidence) = (0, Vec::new());
    while let Some(scanned) = scan.next_frame().expect("memory can be read") {
        match scanned {
            Scanned::Frame { header, payload, .. } => {
                seen += header.frame_bytes() as u64;
                evidence.clear();
                let _ = wire::decode(payload, header.count, &mut evidence);
            }
            Scanned::Damage { bytes, .. } | Scanned::Tail { bytes, .. } => seen += bytes,
        }
    }
    assert_eq!(seen, bytes.len() as u64);

    // The sums keep the fuzzer out of the payload, so that is tried without them.
    let Some((count, payload)) = bytes.split_first() else { return };
    evidence.clear();
    if wire::decode(payload, u32::from(*count), &mut evidence).is_ok() {
        for one in &evidence {
            let mut encoded = Vec::new();
            wire::encode(one, &mut encoded).expect("what was decoded can be encoded");
            let mut again = Vec::new();
            wire::decode(&encoded, 1, &mut again).expect("and decoded again");
            assert_eq!(again.first(), Some(one));
        }
    }
});
