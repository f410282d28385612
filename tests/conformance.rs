//! The recorded cases of the official implementations, on every device.

mod common;

use std::path::{Path, PathBuf};

use common::{copy_of, open};

use tessera::DeviceChoice;
use tessera::verify::{Case, CaseError, Outcome, verify};

fn cases(system: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(system);
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(!cases.is_empty());
    cases
}

fn all_pass_on(device: DeviceChoice) {
    let Some(device) = open(device) else { return };
    for system in tessera::verify::SYSTEMS {
        for folder in cases(system) {
            let report = verify(&Case::open(&folder).unwrap(), &device).unwrap();
            let wrong: Vec<_> = report
                .tensors
                .iter()
                .filter(|line| line.outcome == Outcome::Failed || (line.required && line.outcome != Outcome::Passed))
                .collect();
            assert!(report.passed, "{}: {wrong:#?} {:?}", report.case, report.unmatched);
        }
    }
}

#[test]
fn the_cpu_computes_what_the_official_implementations_computed() {
    all_pass_on(DeviceChoice::Cpu);
}

#[test]
fn the_gpu_computes_what_the_official_implementations_computed() {
    all_pass_on(DeviceChoice::Gpu(0));
}

#[test]
fn a_deviation_and_an_uncovered_requirement_fail() {
    let device = DeviceChoice::Cpu.open().unwrap();
    let folder = copy_of("vq_losses");
    let path = folder.path().join("case.json");
    let text = std::fs::read_to_string(&path).unwrap();

    std::fs::write(&path, text.replace("\"atol\": 0.0002", "\"atol\": 0").replace("\"rtol\": 0.001", "\"rtol\": 0"))
        .unwrap();
    let report = verify(&Case::open(folder.path()).unwrap(), &device).unwrap();
    assert!(!report.passed && report.tensors.iter().any(|line| line.outcome == Outcome::Failed));

    std::fs::write(&path, text.replace("\"l2.tokens\"", "\"l2.tokenz\"")).unwrap();
    let report = verify(&Case::open(folder.path()).unwrap(), &device).unwrap();
    assert!(!report.passed);
    assert_eq!(report.unmatched, ["l2.tokenz"]);
}

#[test]
fn unknown_systems_and_kinds_are_refused_by_name() {
    let device = DeviceChoice::Cpu.open().unwrap();
    let folder = copy_of("vq_losses");
    let path = folder.path().join("case.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let refused = |text: String| {
        std::fs::write(&path, text).unwrap();
        Case::open(folder.path()).and_then(|case| verify(&case, &device)).unwrap_err()
    };
    let error = refused(text.replace("\"vq-losses\"", "\"vq-gains\""));
    assert!(matches!(&error, CaseError::UnknownKind { kind, .. } if kind == "vq-gains"), "{error}");
    let error = refused(text.replace("\"one-d-piece\"", "\"two-d-piece\""));
    assert!(matches!(&error, CaseError::UnknownSystem(system) if system == "two-d-piece"), "{error}");
    assert!(matches!(refused("[]".to_owned()), CaseError::Description { .. }));
}
