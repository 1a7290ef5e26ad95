//! A single report's JSON, whatever its bytes are: a request or a problem that can be written out.

#![no_main]

use brownout::intake::parse_report;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(problem) = parse_report(bytes) {
        let text = problem.to_json().to_string();
        assert!(text.contains(problem.reason.slug()));
    }
});
