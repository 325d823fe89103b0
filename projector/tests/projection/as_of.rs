//! Reads of the catalogue as of a moment equal a fold of the journals up to that moment, whatever came later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use headwater_core::asset::AssetEvent;
use headwater_core::shard::{AggregateId, Event, Position};
use headwater_core::workflow::WorkflowEvent;
use headwater_core::{AssetId, DefinitionVersion, Sequence, ShardId, Slug, Timestamp};
use headwater_projector::Database;
use headwater_projector::parse::{ParsedCommit, parse};
use headwater_projector::queries::{AsOf, Reads, View};
use headwater_projector::rebuild::{Switch, rebuild};
use headwater_streams::journals::MemoryJournals;

use crate::workload::story::{Story, tell, tell_of_before};
use crate::workload::{DAWN_MICROS, Dice, entries};
use crate::{House, Running};

/// Everything up to places of some shards, and up to a time of all others.
#[derive(Debug, Clone)]
struct Cut {
    time: Timestamp,
    places: Vec<Position>,
}

impl Cut {
    fn holds(&self, shard: ShardId, sequence: Sequence, time: Timestamp) -> bool {
        match self.places.iter().find(|place| place.shard == shard) {
            Some(place) => sequence <= place.sequence,
            None => time <= self.time,
        }
    }

    fn view(&self) -> View {
        let as_of = Some(AsOf::new(self.time, &self.places));
        View { workspace: "default".parse().unwrap(), as_of }
    }
}

/// What is there of the workflow: current version, pinned one, versions, first and last selection.
#[derive(Debug, Clone, PartialEq)]
struct WorkflowTruth {
    current: u32,
    pinned: Option<u32>,
    versions: u32,
    created: Timestamp,
    updated: Timestamp,
}

fn started(workflow: &WorkflowTruth) -> u32 {
    workflow.pinned.unwrap_or(workflow.current)
}

/// A version: revision, partition, number.
type VersionTruth = (u64, Option<String>, u64);

/// The catalogue as it was.
#[derive(Debug, Clone, PartialEq, Default)]
struct Truth {
    workflows: BTreeMap<String, WorkflowTruth>,
    /// By id in lower case: the spelling first seen, and its versions, newest last.
    assets: BTreeMap<String, (String, Vec<VersionTruth>)>,
    /// Of the version of each workflow that starts: the assets it uses, in lower case.
    uses: BTreeMap<String, BTreeSet<String>>,
}

/// Every commit of the journals, in the order of each.
fn commits(story: &Story) -> Vec<(ShardId, Sequence, ParsedCommit)> {
    let of = |shard: ShardId| {
        let entries = entries(&story.journal, shard).into_iter();
        entries.flat_map(move |entry| {
            parse(shard, &entry).commits.into_iter().map(move |commit| (shard, entry.sequence, commit))
        })
    };
    story.shards.iter().flat_map(|&shard| of(shard)).collect()
}

fn fold(commits: &[(ShardId, Sequence, ParsedCommit)], cut: &Cut) -> Truth {
    let mut truth = Truth::default();
    let mut documents: BTreeMap<(String, u32), BTreeSet<String>> = BTreeMap::new();
    for (shard, sequence, commit) in commits {
        if !cut.holds(*shard, *sequence, commit.time) {
            continue;
        }
        match &commit.aggregate {
            // Whatever is called so the database refuses.
            AggregateId::Workflow(key) if !key.workflow.as_str().starts_with("nul-") => {
                let slug = key.workflow.to_string();
                for event in &commit.events {
                    let Event::Workflow(event) = event else { unreachable!() };
                    let (created, updated) = (commit.time, commit.time);
                    let fresh = WorkflowTruth { current: 0, pinned: None, versions: 0, created, updated };
                    let workflow = truth.workflows.entry(slug.clone()).or_insert(fresh);
                    match event {
                        WorkflowEvent::WorkflowApplied { version, .. } | WorkflowEvent::VersionSelected { version } => {
                            (workflow.current, workflow.updated) = (version.get(), commit.time);
                        }
                        WorkflowEvent::StartsPaused { .. } | WorkflowEvent::StartsResumed { .. } => {}
                        WorkflowEvent::VersionPinned { version } => {
                            workflow.pinned = version.map(DefinitionVersion::get)
                        }
                    }
                    if let WorkflowEvent::WorkflowApplied { document, .. } = event {
                        workflow.versions = workflow.current;
                        let document = document.to_value();
                        let contracts = ["/steps/0/produces/0/assetId", "/steps/1/consumes/0/assetId"];
                        let uses = contracts.map(|at| document.pointer(at).unwrap().as_str().unwrap().to_lowercase());
                        documents.insert((slug.clone(), workflow.current), BTreeSet::from(uses));
                    }
                    let started = started(workflow);
                    truth.uses.insert(slug.clone(), documents[&(slug.clone(), started)].clone());
                }
            }
            AggregateId::Asset(key) => {
                for (event, revision) in commit.events.iter().zip(commit.revision.get()..) {
                    let Event::Asset(event) = event else { unreachable!() };
                    let is_known = matches!(event, AssetEvent::AssetDeclared(_) | AssetEvent::AssetMaterialized { .. });
                    if !is_known {
                        continue;
                    }
                    let lower = key.asset.as_str().to_ascii_lowercase();
                    let asset = truth.assets.entry(lower).or_insert((key.asset.to_string(), Vec::new()));
                    if let AssetEvent::AssetMaterialized { version, record } = event {
                        let partition = record.partition.as_ref().map(ToString::to_string);
                        asset.1.push((revision, partition, version.get()));
                    }
                }
            }
            AggregateId::Workflow(_)
            | AggregateId::Run(_)
            | AggregateId::Action(_)
            | AggregateId::Memo(_)
            | AggregateId::Definition(..) => {}
        }
    }
    truth
}

/// Times at and just before commits that the catalogue is made of, and places with the times they stand for, within `ends`.
fn moments(dice: &mut Dice, commits: &[(ShardId, Sequence, ParsedCommit)], ends: &[Position]) -> Vec<Cut> {
    let time_at = |place: &Position| {
        let before = commits.iter().filter(|(shard, at, _)| *shard == place.shard && *at <= place.sequence);
        before.map(|(.., commit)| commit.time).max().unwrap_or_default()
    };
    let mut cuts = Vec::new();
    for _ in 0..4 {
        // All shards, or (where everything is there) some.
        let mut places: Vec<Position> = ends
            .iter()
            .map(|end| Position { sequence: Sequence::new(dice.below(end.sequence.get() + 1)), ..*end })
            .collect();
        cuts.push(Cut { time: places.iter().map(time_at).max().unwrap(), places: places.clone() });
        places.remove(dice.below(places.len() as u64) as usize);
        cuts.push(Cut { time: places.iter().map(time_at).max().unwrap(), places });
    }
    let told = |aggregate: &AggregateId| matches!(aggregate, AggregateId::Workflow(_) | AggregateId::Asset(_));
    let told: Vec<_> = commits.iter().filter(|(.., commit)| told(&commit.aggregate)).collect();
    for _ in 0..6 {
        let time = told[dice.below(told.len() as u64) as usize].2.time;
        let before = Timestamp::from_micros(time.as_micros() - 1);
        cuts.extend([time, before].map(|time| Cut { time, places: Vec::new() }));
    }
    for time in [0, DAWN_MICROS, Timestamp::MAX.as_micros()] {
        cuts.push(Cut { time: Timestamp::from_micros(time), places: Vec::new() });
    }
    cuts
}

fn asset(text: &str) -> AssetId {
    text.parse().unwrap()
}

/// Everything that the reads say of the workflows is so.
async fn workflows_agree(reads: &Reads, view: &View, truth: &Truth) {
    let listed = reads.workflows(view, None, 100).await.unwrap();
    let listed: BTreeMap<_, _> =
        listed.iter().map(|of| (of.slug.clone(), (of.version, of.created_at.0, of.updated_at.0))).collect();
    let told = truth.workflows.iter().map(|(slug, of)| (slug.clone(), (of.current, of.created, of.updated)));
    assert_eq!(listed, told.collect());
    for n in 0..3 {
        let slug: Slug = format!("flow-{n}").parse().unwrap();
        let of = truth.workflows.get(slug.as_str());
        let versions = reads.definitions(view, &slug, None, 100).await.unwrap();
        let versions: Vec<_> = versions.iter().map(|of| (of.version, of.current)).collect();
        let told = of.iter().flat_map(|of| (1..=of.versions).rev().map(|version| (version, version == of.current)));
        assert_eq!(versions, told.take(100).collect::<Vec<_>>());
        let current = reads.definition(view, &slug, None).await.unwrap();
        let told = current.map(|found| (found.summary.version, found.pinned_version));
        assert_eq!(told, of.map(|of| (of.current, of.pinned)));
        for version in [1, of.map_or(1, |of| of.versions), of.map_or(1, |of| of.versions + 1)] {
            let found = reads.definition(view, &slug, Some(DefinitionVersion::new(version))).await.unwrap();
            assert_eq!(found.is_some(), of.is_some_and(|of| version <= of.versions), "{slug} {version}");
        }
        let inventory = reads.workflow_assets(view, &slug).await.unwrap();
        let used = inventory.map(|inventory| {
            let of = inventory.assets.into_iter();
            of.map(|of| (of.asset_id.to_lowercase(), of.latest.map(|latest| latest.version)))
                .collect::<BTreeMap<_, _>>()
        });
        let latest = |id: &String| truth.assets.get(id).and_then(|(_, versions)| versions.last()).map(|last| last.2);
        let told = truth.uses.get(slug.as_str());
        let told = told.map(|uses| uses.iter().map(|id| (id.clone(), latest(id))).collect::<BTreeMap<_, _>>());
        assert_eq!(used, told);
    }
}

/// Everything that the reads say of the assets is so.
async fn assets_agree(reads: &Reads, view: &View, truth: &Truth) {
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = reads.assets(view, "", after.as_ref(), 2).await.unwrap();
        listed.extend(page.assets.into_iter().map(|of| (of.asset_id, of.latest_partition_key, of.latest_version)));
        let Some(next) = page.next else { break };
        after = Some(asset(&next));
    }
    let last = |versions: &[VersionTruth]| versions.last().map(|last| (last.1.clone(), last.2)).unzip();
    let told = truth.assets.values().map(|(spelling, versions)| {
        let (partition, version) = last(versions);
        (spelling.clone(), partition.flatten(), version)
    });
    assert_eq!(listed, told.collect::<Vec<_>>());
    for id in ["directory.insights.report", "directory.scan", "a:b_c", "plain", "elsewhere.made"] {
        let of = truth.assets.get(id);
        let uses = truth.uses.iter().filter(|(_, uses)| uses.contains(id));
        let uses: Vec<_> = uses.map(|(slug, _)| (slug.clone(), started(&truth.workflows[slug]))).collect();
        let detail = reads.asset(view, &asset(id)).await.unwrap();
        assert_eq!(detail.is_some(), of.is_some() || !uses.is_empty(), "{id}");
        let versions = of.map(|(_, versions)| versions.clone()).unwrap_or_default();
        if let Some(detail) = detail {
            let edges = detail.producers.iter().chain(&detail.consumers);
            assert_eq!(edges.map(|edge| (edge.workflow.clone(), edge.workflow_version)).collect::<Vec<_>>(), uses);
            let partitions: BTreeMap<_, _> =
                detail.partitions.iter().map(|of| (of.version.partition_key.clone(), of.version.version)).collect();
            let told: BTreeMap<_, _> =
                versions.iter().map(|(_, partition, version)| (partition.clone(), *version)).collect();
            assert_eq!(partitions, told);
            assert_eq!(detail.latest.map(|latest| latest.revision), versions.last().map(|last| last.0));
        }
        for partition in [None, Some("2026-02")] {
            let key = partition.map(|text| text.parse().unwrap());
            let history = reads.versions_of(view, &asset(id), key.as_ref(), None, 100).await.unwrap();
            assert!(history.iter().all(|of| of.version.run_status.is_none() && of.version.run_completed_at.is_none()));
            let history: Vec<_> =
                history.iter().map(|of| (of.revision, of.version.partition_key.clone(), of.version.version)).collect();
            let told = versions.iter().rev().filter(|of| partition.is_none() || of.1.as_deref() == partition);
            assert_eq!(history, told.take(100).cloned().collect::<Vec<_>>());
        }
    }
}

async fn all_agree(database: &Database, commits: &[(ShardId, Sequence, ParsedCommit)], cuts: &[Cut]) {
    let reads = Reads::of(database.clone());
    for cut in cuts {
        let truth = fold(commits, cut);
        let check = async {
            workflows_agree(&reads, &cut.view(), &truth).await;
            assets_agree(&reads, &cut.view(), &truth).await;
        };
        // That a failure says of which moment it is.
        eprintln!("as of {} {:?}", cut.time, cut.places);
        check.await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_as_of_a_moment_is_the_fold_up_to_it_whatever_came_later_and_after_a_rebuild() {
    let house = House::build().await;
    let database = house.database().await;
    let seed = 23;
    let mut dice = Dice::new(seed);
    let story = tell(seed, 3, 2_500);
    let commits = commits(&story);
    let all = |shard: ShardId| entries(&story.journal, shard);
    // First a part of it, in batches of a few: what is certain by then stays so.
    let live = MemoryJournals::new();
    let mut ends = Vec::new();
    for &shard in &story.shards {
        let count = dice.below(all(shard).len() as u64) as usize;
        for entry in all(shard).into_iter().take(count) {
            live.append(shard, entry.bytes);
        }
        ends.push(Position { shard, sequence: Sequence::new(count as u64) });
    }
    let running = Running::start(&database, &live, &story.shards, 7, 2);
    running.reach_heads(&live, &story.shards).await;
    let mut early = moments(&mut dice, &commits, &ends);
    early.retain(|cut| cut.places.len() == story.shards.len());
    all_agree(&database, &commits, &early).await;
    for (&shard, end) in story.shards.iter().zip(&ends) {
        for entry in all(shard).into_iter().skip(end.sequence.get() as usize) {
            live.append(shard, entry.bytes);
        }
    }
    running.reach_heads(&live, &story.shards).await;
    running.stop().await;
    let ends: Vec<_> = story
        .shards
        .iter()
        .map(|&shard| Position { shard, sequence: Sequence::new(all(shard).len() as u64) })
        .collect();
    let late = moments(&mut dice, &commits, &ends);
    all_agree(&database, &commits, &early).await;
    all_agree(&database, &commits, &late).await;
    let report = rebuild(&database, Arc::new(live), &story.shards, Switch::IfEqual).await.unwrap();
    assert!(report.equal && report.switched, "{report:#?}");
    all_agree(&database, &commits, &late).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_projected_by_a_release_before_is_dated_from_its_commits() {
    let house = House::build().await;
    let database = house.database().await;
    let story = tell_of_before(25, 2, 1_500);
    Running::to_the_end(&database, &story.journal, &story.shards, 100, 1).await;
    let dated = async || {
        let selected = "SELECT row(s.*)::text FROM headwater.workflow_selections s ORDER BY 1";
        let known =
            "SELECT row(workspace, asset_key, shard, sequence, known_at)::text FROM headwater.assets ORDER BY 1";
        let mut rows = house.rows(selected).await;
        assert!(rows.len() > 5, "{}", rows.len());
        rows.extend(house.rows(known).await);
        rows.iter().map(|row| row.get(0)).collect::<Vec<String>>()
    };
    let projected = dated().await;
    // What stands in old journals, and Postgres does not look into.
    let escapes = r#"[{"of": "\u0000 \ud83d \\u0000 \\\u0041"}, "#;
    let aged = format!(
        "UPDATE headwater.commits SET events = overlay(events placing $${escapes}$$ from 1 for 1)
         WHERE aggregate LIKE 'workflow/%' OR aggregate LIKE 'asset/%' RETURNING 1"
    );
    assert!(!house.rows(&aged).await.is_empty());
    house.as_a_release_before("headwater").await;
    database.migrate().await.unwrap();
    assert_eq!(dated().await, projected);
}
