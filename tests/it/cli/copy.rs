//! `coldframe cp`: what it prints, where, and the exit code.

use super::*;

#[test]
fn a_copy_is_told_and_read_in_its_store() {
    let place = Place::new();
    place.put_csv("etl/trips", "id\n0\n");
    let original = place.put_csv("etl/trips", TRIPS);
    let there = place.path("there").to_str().unwrap().to_owned();
    let told = place.out(&["cp", "etl/trips", "--to", &there]);
    let size = original["size"].as_u64().unwrap();
    assert_eq!(told, format!("etl/trips@2 -> etl/trips@1 ({:.1} KiB)\n", size as f64 / 1024.0));
    assert_eq!(place.out(&["get", "etl/trips", "--store", &there, "--format", "csv"]), TRIPS);
    let again = place.out(&["cp", "etl/trips", "--to", &there]);
    assert_eq!(again, "etl/trips@2 -> etl/trips@1 (already there)\n");
    place.out(&["verify", "--store", &there]);
    assert_eq!(place.json(&["versions", "etl/trips", "--store", &there, "--json"]).as_array().unwrap().len(), 1);
    assert!(text(&succeeded(place.run(&["cp", "etl/trips", "--to", &there, "-q"])).stderr).is_empty());
}

#[test]
fn several_are_copied_in_one_go() {
    let place = Place::new();
    let reference = place.put_csv("a", "id\n1\n");
    place.put_csv("a", TRIPS);
    place.put_csv("b", "id\n2\n");
    let null = place.file("null", "null");
    place.out(&["put", "nothing", &null]);
    let file = place.file("reference.json", reference.to_string());
    let there = place.path("there").to_str().unwrap().to_owned();
    let copied = place.json(&["cp", &file, "a@2", "b", "nothing", "--to", &there, "--json"]);
    let names = |reference: &Json| format!("{}@{}", reference["key"].as_str().unwrap(), reference["version"]);
    let copied = copied.as_array().unwrap();
    assert_eq!(copied.iter().map(names).collect::<Vec<_>>(), ["a@1", "a@2", "b@1", "nothing@1"]);
    assert!(copied.iter().all(|reference| reference["storage"].as_str().unwrap().ends_with("/there")));
    assert_eq!(copied[0]["copied_from"]["write"], reference["write"]);
    // A reference that was printed is enough to read the copy.
    assert_eq!(place.out(&["get", &copied[0].to_string(), "--format", "csv"]), "id\n1\n");
    assert_eq!(place.out(&["get", "nothing", "--store", &there]), "null\n");
}

#[test]
fn a_copy_may_be_given_another_key() {
    let place = Place::new();
    place.put_csv("a", TRIPS);
    let there = place.path("there").to_str().unwrap().to_owned();
    assert!(place.out(&["cp", "a", "--to", &there, "--as", "b/c"]).starts_with("a@1 -> b/c@1 ("));
    assert_eq!(place.out(&["get", "b/c", "--store", &there, "--format", "csv"]), TRIPS);
    assert!(place.out(&["show", "b/c", "--store", &there]).contains("a@1, created 20"));
    // Within one store it is another name for the same.
    assert!(place.out(&["cp", "a", "--to", ".coldframe", "--as", "b"]).starts_with("a@1 -> b@1 ("));
    assert_eq!(place.out(&["cp", "a", "--to", ".coldframe"]), "a@1 -> a@1 (already there)\n");
    for wrong in [&["cp", "a", "b", "--to", &there, "--as", "c"][..], &["cp", "a", "--to", &there, "--as", "c//d"]] {
        assert_eq!(place.fails(wrong).0, 2, "{wrong:?}");
    }
}

#[test]
fn the_first_that_fails_ends_it_and_what_was_copied_before_is_told() {
    let place = Place::new();
    place.put_csv("etl/trips", TRIPS);
    let damaged = place.put_csv("etl/zones", TRIPS);
    let part = place.path(".coldframe").join(damaged["parts"][0]["path"].as_str().unwrap());
    let mut bytes = fs::read(&part).unwrap();
    bytes[8] ^= 0xff;
    fs::write(&part, bytes).unwrap();
    let there = place.path("there").to_str().unwrap().to_owned();
    let output = place.run(&["cp", "etl/trips", "etl/trisp", "etl/zones", "--to", &there]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stdout).starts_with("etl/trips@1 -> etl/trips@1 ("), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("did you mean `etl/trips`?"), "{}", text(&output.stderr));
    let output = place.run(&["cp", "etl/trips", "etl/zones", "--to", &there, "--json"]);
    assert_eq!(output.status.code(), Some(5));
    let told: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told.as_array().unwrap().len(), 1);
    let error: Json = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["error"]["kind"], "damaged");
    let (code, told) = place.fails(&["cp", "etl/zones", "--to", &there, "--json"]);
    assert!(code == 5 && told.contains(damaged["parts"][0]["path"].as_str().unwrap()), "{told}");
    let names = place.json(&["ls", "--store", &there, "--json"]);
    assert_eq!(names.as_array().unwrap().len(), 1);
    assert_eq!(place.json(&["verify", "--store", &there, "--json"])["notes"], serde_json::json!([]));
}

#[test]
fn each_store_has_its_own_options() {
    let place = Place::new();
    place.put_csv("a", TRIPS);
    let there = place.path("there").to_str().unwrap().to_owned();
    // A folder takes no options, and says which of the two was given one.
    let (code, told) = place.fails(&["cp", "a", "--to", &there, "--to-option", "region=x"]);
    assert!(code == 6 && told.contains("there"), "{code} {told}");
    let (code, told) = place.fails(&["cp", "a", "-O", "region=x", "--to", &there]);
    assert!(code == 6 && told.contains(".coldframe"), "{code} {told}");
    assert!(!Path::new(&there).exists());
}

#[test]
fn a_record_without_a_version_is_no_source() {
    let place = Place::new();
    let (code, told) = place.fails(&["cp", r#"{"type":"literal","format":1,"value":true}"#, "--to", "there"]);
    assert!(code == 2 && told.contains("`true`"), "{code} {told}");
    assert_eq!(place.fails(&["cp", r#"{"type":"none","format":1}"#, "--to", "there"]).0, 3);
    assert_eq!(place.fails(&["cp", "a"]).0, 2);
}
