//! The three jobs on real directories, and the workflows that join them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use directory_insights::handlers::HANDLERS;
use directory_insights::{Attempt, Failure};
use headwater_core::Json;
use headwater_core::definition::{Definition, compile};
use headwater_core::expr::{Scope, Template};
use serde_json::{Value, json};

fn run(slug: &str, input: &Value) -> Result<Value, Failure> {
    let (_, handler) = HANDLERS.into_iter().find(|(known, _)| *known == slug).expect(slug);
    handler(input, &Attempt::unwatched())
}

fn write(path: &Path, bytes: usize) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, vec![b'x'; bytes]).unwrap();
}

/// A small tree: 5 files, 3 directories, a link that leads outside and one that leads in a circle.
fn tree() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    write(&root.path().join("README.md"), 500);
    write(&root.path().join("src/main.rs"), 2_000);
    write(&root.path().join("src/deep/lib.RS"), 3_000);
    write(&root.path().join("data/big.bin"), 200_000);
    write(&root.path().join("data/.hidden"), 0);
    symlink("/etc", root.path().join("outside")).unwrap();
    symlink(".", root.path().join("src/circle")).unwrap();
    root
}

fn report_of(root: &Path, output: &Path, title: &str) -> Value {
    let scan = run("scan-directory", &json!({"scanDir": root})).unwrap();
    run("generate-visualizations", &json!({"outputDir": output, "reportTitle": title, "scan": scan})).unwrap()
}

#[test]
fn a_scan_counts_what_is_there_and_follows_no_link() {
    let root = tree();
    let scan = run("scan-directory", &json!({"scanDir": root.path(), "maxEntries": 1000})).unwrap();
    let summary = &scan["summary"];
    assert_eq!((&summary["totalFiles"], &summary["totalDirectories"]), (&json!(5), &json!(3)));
    assert_eq!((&summary["totalSize"], &summary["maxDepth"]), (&json!(205_500), &json!(3)));
    assert_eq!((&summary["truncated"], &summary["averageFileSize"]), (&json!(false), &json!(41_100.0)));
    assert!(summary["latestModifiedAt"].as_str() >= summary["earliestModifiedAt"].as_str());
    let directories: Vec<&str> =
        scan["directories"].as_array().unwrap().iter().map(|d| d["path"].as_str().unwrap()).collect();
    assert_eq!(directories, [".", "data", "src", "src/deep"]);
    assert_eq!(
        scan["directories"][2],
        json!({"path": "src", "depth": 1, "fileCount": 2, "size": 5000, "ownSize": 2000})
    );
    let types: Vec<&str> =
        scan["extensionStats"].as_array().unwrap().iter().map(|e| e["extension"].as_str().unwrap()).collect();
    assert_eq!(types, [".bin", ".rs", ".md", "(none)"]);
    let sizes: Vec<u64> =
        scan["sizeDistribution"].as_array().unwrap().iter().map(|b| b["fileCount"].as_u64().unwrap()).collect();
    assert_eq!(sizes, [2, 2, 0, 1, 0, 0]);
    assert_eq!(scan["largestFiles"][0]["path"], "data/big.bin");
    assert_eq!(scan["depthStats"][1], json!({"depth": 2, "fileCount": 3, "directoryCount": 1, "totalSize": 202_000}));
    assert_eq!(scan["issues"], json!([]));
}

#[test]
fn a_scan_stops_at_its_limit_and_says_so() {
    let root = tempfile::tempdir().unwrap();
    for n in 0..1200 {
        write(&root.path().join(format!("d{}/f{n}", n % 7)), 1);
    }
    let scan = run("scan-directory", &json!({"scanDir": root.path(), "maxEntries": 1000})).unwrap();
    assert_eq!(scan["summary"]["truncated"], json!(true));
    assert_eq!(
        scan["summary"]["totalFiles"].as_u64().unwrap() + scan["summary"]["totalDirectories"].as_u64().unwrap(),
        1000
    );
}

#[test]
fn a_scan_stays_small_enough_to_travel() {
    let root = tempfile::tempdir().unwrap();
    let long = "n".repeat(240);
    for n in 0..2500 {
        write(&root.path().join(format!("{n:04}{long}/{n:04}{long}.e{n}")), n);
    }
    let scan = run("scan-directory", &json!({"scanDir": root.path(), "maxEntries": 200_000})).unwrap();
    assert_eq!(scan["summary"]["totalFiles"], 2500);
    let bytes = scan.to_string().len();
    assert!(bytes < 400_000, "{bytes}");
}

#[test]
fn what_cannot_be_scanned_is_named() {
    let root = tree();
    let missing = root.path().join("nope");
    let failure = run("scan-directory", &json!({"scanDir": missing})).unwrap_err();
    assert_eq!((failure.code(), failure.is_permanent()), ("not_found", true));
    assert!(failure.to_string().contains("nope"), "{failure}");
    let file = run("scan-directory", &json!({"scanDir": root.path().join("README.md")})).unwrap_err();
    assert_eq!(file.code(), "invalid_input");
    for entries in [json!(999), json!(200_001), json!("many")] {
        let failure = run("scan-directory", &json!({"scanDir": root.path(), "maxEntries": entries})).unwrap_err();
        assert_eq!(failure.code(), "invalid_input");
    }
}

#[test]
fn a_cancelled_job_stops() {
    let root = tree();
    let handler = HANDLERS[0].1;
    let attempt = Attempt { progress: &|_| {}, cancelled: &|| true };
    let failure = handler(&json!({"scanDir": root.path()}), &attempt).unwrap_err();
    assert_eq!(failure.code(), "cancelled");
}

#[test]
fn a_report_is_three_whole_files_and_an_asset() {
    let (root, output) = (tree(), tempfile::tempdir().unwrap());
    let output = output.path().join("new/report");
    let made = report_of(root.path(), &output, "My report");
    assert_eq!(made["files"].as_array().unwrap().len(), 3);
    let asset = &made["assets"][0];
    assert_eq!(asset["assetId"], "directory.insights.report");
    assert_eq!(asset["payload"]["reportTitle"], "My report");
    for artifact in asset["payload"]["artifacts"].as_array().unwrap() {
        let path = output.join(artifact["relativePath"].as_str().unwrap());
        assert_eq!(fs::metadata(&path).unwrap().len(), artifact["sizeBytes"].as_u64().unwrap(), "{path:?}");
    }
    assert_eq!(fs::read_dir(&output).unwrap().count(), 3, "no temporary file is left");
    let page = fs::read_to_string(output.join("index.html")).unwrap();
    assert!(!page.contains("http://") && !page.contains("https://"), "nothing is fetched");
    let summary = fs::read_to_string(output.join("summary.md")).unwrap();
    assert!(summary.starts_with("# My report\n"), "{summary}");
}

#[test]
fn hostile_names_stay_text() {
    let (root, output) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hostile = ["<script>alert(1)<", "<!--", "a\"onmouseover='x'", "\u{2028}|`*", "<img src=x onerror=alert(1)>"];
    for name in hostile {
        write(&root.path().join(name).join("x\n<b>.t\"x"), 9);
    }
    write(&root.path().join("<").join("script><img onerror=alert(2) src=x>"), 9);
    let title = "</title></script><img src=x onerror=alert(3)>";
    report_of(root.path(), output.path(), title);
    let page = fs::read_to_string(output.path().join("index.html")).unwrap();
    let script = |page: &str| page.matches("<script").count();
    assert_eq!(script(&page), 2, "the page's own two");
    assert_eq!(page.matches("</script>").count(), 2);
    assert!(!page.contains("<img") && !page.contains("<!--") && !page.contains("<b>.t"));
    let data = page.split("id=\"data\">").nth(1).unwrap().split("</script>").next().unwrap();
    assert!(!data.contains('<'));
    let data: Value = serde_json::from_str(data).unwrap();
    assert!(data["directories"].as_array().unwrap().iter().any(|row| row[0] == "<!--"), "and is still there");
    let summary = fs::read_to_string(output.path().join("summary.md")).unwrap();
    assert!(!summary.contains("<img") && !summary.contains("<script"));
}

fn names_in(archive: &Path) -> Vec<String> {
    let file = fs::File::open(archive).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let entries = archive.entries().unwrap();
    entries.map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect()
}

#[test]
fn an_archive_holds_the_report() {
    let (root, output, archives) = (tree(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let made = report_of(root.path(), output.path(), "Q3 / Ünï: report!");
    let report = &made["assets"][0]["payload"];
    let packed =
        run("archive-report", &json!({"report": report, "archiveDir": archives.path(), "archiveName": null})).unwrap();
    let path = Path::new(packed["archivePath"].as_str().unwrap());
    assert_eq!(names_in(path), ["scan-data.json", "summary.md", "index.html"]);
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("q3-n-report-20") && name.ends_with("Z.tar.gz"), "{name}");
    assert_eq!(packed["artifactCount"], 3);
    assert_eq!(packed["sizeBytes"], fs::metadata(path).unwrap().len());
    assert_eq!(packed["assets"][0]["payload"]["archivePath"], packed["archivePath"]);
    let named = json!({"report": report, "archiveDir": archives.path(), "archiveName": "../../Evil name.tar.gz"});
    let packed = run("archive-report", &named).unwrap();
    let archives = fs::canonicalize(archives.path()).unwrap();
    assert_eq!(packed["archivePath"], archives.join("evil-name.tar.gz").display().to_string());
}

#[test]
fn an_archive_that_cannot_be_whole_is_not_there_at_all() {
    let (root, output, archives) = (tree(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let made = report_of(root.path(), output.path(), "r");
    symlink("/etc/hostname", output.path().join("link")).unwrap();
    symlink("/etc", output.path().join("etc")).unwrap();
    fs::create_dir(output.path().join("folder")).unwrap();
    let cases = [
        ("gone.html", "not_found"),
        ("../secret", "unsafe_path"),
        ("/etc/hostname", "unsafe_path"),
        ("./index.html", "unsafe_path"),
        ("", "unsafe_path"),
        ("link", "unsafe_path"),
        ("etc/hostname", "unsafe_path"),
        ("folder", "unsafe_path"),
    ];
    for (artifact, code) in cases {
        let mut report = made["assets"][0]["payload"].clone();
        report["artifacts"][1]["relativePath"] = json!(artifact);
        let input = json!({"report": report, "archiveDir": archives.path()});
        let failure = run("archive-report", &input).unwrap_err();
        assert_eq!(failure.code(), code, "{artifact}: {failure}");
        assert!(failure.to_string().contains(&format!("`{artifact}`")), "{failure}");
        assert_eq!(fs::read_dir(archives.path()).unwrap().count(), 0, "{artifact}");
    }
}

fn workflow(name: &str) -> Definition {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("workflows").join(name);
    let document = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let (definition, warnings) = compile(&document).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!(warnings, []);
    definition
}

#[test]
fn the_workflows_compile_and_promise_what_the_jobs_keep() {
    let (report, archive) = (workflow("directory-insights-report.json"), workflow("directory-insights-archive.json"));
    let (root, output, archives) = (tree(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let made = report_of(root.path(), output.path(), "r");
    let payload = &made["assets"][0]["payload"];
    let promised = report.nodes[1].produces[0].schema.as_ref().unwrap();
    promised.check(&Json::of(payload)).unwrap();
    let packed = run("archive-report", &json!({"report": payload, "archiveDir": archives.path()})).unwrap();
    let promised = archive.nodes[0].produces[0].schema.as_ref().unwrap();
    promised.check(&Json::of(&packed["assets"][0]["payload"])).unwrap();
    let slugs: Vec<&str> = HANDLERS.iter().map(|(slug, _)| *slug).collect();
    for node in report.nodes.iter().chain(&archive.nodes) {
        assert!(slugs.contains(&node.queue.as_str()), "{}", node.id);
    }
}

fn rendered(template: &Template, input: &Value) -> Value {
    let (input, facts) = (Json::of(input), (Json::empty_object(), Json::empty_object()));
    let (state, output) = (Default::default(), |_: &str| None);
    let scope = Scope {
        input: &input,
        state: &state,
        output: &output,
        standing: &|_| None,
        assets: &[],
        error: None,
        facts: &facts,
        bound: &[],
        now: headwater_core::Timestamp::default(),
    };
    template.render(&scope).unwrap().to_value()
}

#[test]
fn the_archive_says_what_a_missing_report_is_made_from_if_it_can() {
    let archive = workflow("directory-insights-archive.json");
    let mapping = archive.nodes[0].consumes[0].producer_input.as_ref().unwrap();
    let whole = json!({"archiveDir": "/a", "scanDir": "/s", "outputDir": "/o"});
    assert_eq!(rendered(mapping, &whole), json!({"scanDir": "/s", "outputDir": "/o"}));
    for partial in [json!({"archiveDir": "/a"}), json!({"archiveDir": "/a", "scanDir": "/s"})] {
        assert_eq!(rendered(mapping, &partial), Value::Null, "the last report's input is taken");
    }
    let report = workflow("directory-insights-report.json");
    let input = json!({"scanDir": "/s", "outputDir": "/o", "maxEntries": 20000, "reportTitle": "t"});
    let scan = report.nodes[0].input.as_ref().unwrap();
    assert_eq!(rendered(scan, &input), json!({"scanDir": "/s", "maxEntries": 20000}));
}
