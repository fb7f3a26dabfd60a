//! What the fuzz targets start with, and what they found.

#[path = "../../fuzz/src/targets.rs"]
mod targets;

#[test]
fn every_target_bears_its_seeds() {
    for (name, target) in targets::TARGETS {
        let folder = targets::root().join("fuzz/seeds").join(name);
        let files = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let mut count = 0;
        for file in files {
            let file = file.expect("a seed").path();
            println!("{}", file.display());
            target(&std::fs::read(file).expect("readable"));
            count += 1;
        }
        assert!(count > 0, "no seeds for {name}");
    }
}
