//! The ideation pipeline, and nothing else: ideas are made, each is judged by several until enough agree, the best is
//! ranked, and the next round begins while none is good enough. Its owner dies at every append of the story in turn, just
//! before that lands and just behind; what the run comes to is the same as without a death.

use std::collections::BTreeMap;

use headwater_core::protocol::Task;
use headwater_core::run::{ReportOutcome, RunEvent};
use headwater_core::shard::{Event, digest};
use headwater_core::{Json, NodeId, RunId};
use serde_json::{Value, json};

use crate::chance::Chance;
use crate::cluster::{Cluster, Happening, MILLI, SECOND};

const SLUG: &str = "ideation";
/// Every run must have come to its end by then.
const END: u64 = 600 * SECOND;

/// One run of it, and perhaps one death.
pub struct Pipeline {
    input: Value,
    run: Option<RunId>,
    /// How many appends have arrived.
    appends: u64,
    death: Option<(u64, Dies)>,
    people: People,
    /// How many of them have been heard, and whether one is waiting to be.
    heard: usize,
    is_asking: bool,
}

/// What people say who are asked whether the best idea is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum People {
    Agree,
    /// What the form does not allow.
    Babble,
    ComeLate,
}

/// When the owner dies, around an append that arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dies {
    /// It never lands.
    Before,
    /// It has landed, and nobody hears of it.
    Behind,
}

impl Pipeline {
    /// Returns whether the owner dies around the append that arrives now.
    pub fn dies(&mut self) -> Option<Dies> {
        self.appends += 1;
        self.death.filter(|(at, _)| *at == self.appends).map(|(_, dies)| dies)
    }
}

/// What a run has come to: its end, and how often each node ended how. Which votes were cast before there were enough is
/// nobody's promise.
#[derive(Debug, PartialEq)]
struct Fate {
    end: RunEvent,
    nodes: BTreeMap<NodeId, BTreeMap<String, u32>>,
}

impl Cluster {
    fn pipeline(ideas: u64, judges: u64, passes: u64, people: People, death: Option<(u64, Dies)>) -> Self {
        let mut cluster = Self::built(Chance::new(7), 1, 2);
        cluster.healed = true;
        let input = json!({"ideas": ideas, "judges": judges, "passes": passes});
        cluster.pipeline = Some(Pipeline { input, run: None, appends: 0, death, people, heard: 0, is_asking: false });
        for shard in cluster.shards() {
            cluster.at(1, Happening::TakeOver { shard });
        }
        for _ in 0..3 {
            cluster.hire();
        }
        cluster.apply_document(SLUG, &document(judges));
        cluster.at(MILLI, Happening::ClientTurn);
        cluster
    }

    /// Starts the run as soon as it can be.
    pub fn pipeline_turn(&mut self) {
        let Some(Pipeline { run, input, .. }) = &self.pipeline else { return };
        match *run {
            Some(run) if self.audit.end_of(run).is_some() => return,
            Some(run) => self.people_turn(run),
            None => {
                let input = input.clone();
                let run = self.start_with(SLUG, &input);
                if let Some(pipeline) = &mut self.pipeline {
                    pipeline.run = run;
                }
            }
        }
        self.at(100 * MILLI, Happening::ClientTurn);
    }

    /// Two people answer, one after the other, each until he was heard.
    fn people_turn(&mut self, run: RunId) {
        let entries = self.journals.iter().flat_map(|journal| &journal.entries);
        let mut events = entries.flat_map(|entry| &entry.bundle.commits).flat_map(|commit| &commit.events);
        let until = events.find_map(|event| match event {
            Event::Run(RunEvent::PersonAsked { task, .. }) => task.due_at,
            _ => None,
        });
        let now = self.clock(0);
        let Some((until, pipeline)) = until.zip(self.pipeline.as_mut()) else { return };
        let is_early = pipeline.people == People::ComeLate && now <= until;
        let name = ["ada", "bo"].get(pipeline.heard).filter(|_| !pipeline.is_asking && !is_early);
        let Some(name) = name else { return };
        pipeline.is_asking = true;
        let value = match pipeline.people {
            People::Agree | People::ComeLate => json!({"publish": true}),
            People::Babble => json!({"publish": "perhaps"}),
        };
        let number = 1 + pipeline.heard as u128;
        self.answer_at_the_gate(run, number, name, &value);
    }

    pub fn gate_answered(&mut self, heard: bool) {
        if let Some(pipeline) = &mut self.pipeline {
            pipeline.is_asking = false;
            pipeline.heard += usize::from(heard);
        }
    }

    /// The process of a seat is gone from one moment to the next.
    pub fn die(&mut self, seat: usize) {
        self.note(format_args!("seat {seat} dies"));
        self.seats[seat].desk = None;
        self.vacate(seat);
    }

    /// Lives until the run has ended and everything is at rest; returns what it came to, and how many appends that took.
    fn live_to_the_end(&mut self) -> (Fate, u64) {
        let ended = |cluster: &Self| {
            let run = cluster.pipeline.as_ref().and_then(|pipeline| pipeline.run);
            run.is_some_and(|run| cluster.audit.end_of(run).is_some())
        };
        while !(ended(self) && self.is_at_rest()) {
            assert!(self.time < END, "did not come to rest: {}\n{}", self.unrest(), self.timeline.join("\n"));
            self.next();
        }
        self.audit.rest();
        self.compare_owners();
        (self.fate(), self.pipeline.as_ref().expect("it is its story").appends)
    }

    fn fate(&self) -> Fate {
        let entries = self.journals.iter().flat_map(|journal| &journal.entries);
        let events = entries.flat_map(|entry| &entry.bundle.commits).flat_map(|commit| &commit.events);
        let (mut end, mut nodes) = (None, BTreeMap::<NodeId, BTreeMap<String, u32>>::new());
        for event in events {
            let Event::Run(event) = event else { continue };
            let gate;
            let how = match event {
                RunEvent::NodeSucceeded { node, output, .. } if node.node().as_str() == "gate" => {
                    // When they answered is nobody's promise.
                    let all = output.to_value();
                    let said =
                        all.as_array().expect("two answer").iter().map(|one| format!("{} {}", one["by"], one["value"]));
                    gate = said.collect::<Vec<_>>().join(" ");
                    &gate
                }
                RunEvent::NodeSucceeded { output, .. } => output.as_str(),
                RunEvent::NodeFailed { failure, .. } => failure.code.as_str(),
                RunEvent::NodeSkipped { .. } => "skipped",
                RunEvent::NodeCancelled { .. } => "cancelled",
                RunEvent::RunSucceeded { .. } | RunEvent::RunFailed { .. } | RunEvent::RunCancelled { .. } => {
                    end = Some(event.clone());
                    continue;
                }
                _ => continue,
            };
            let node = event.node().expect("a node ends").node();
            if node.as_str() != "vote" {
                *nodes.entry(node.clone()).or_default().entry(how.to_owned()).or_default() += 1;
            }
        }
        Fate { end: end.expect("the run has ended"), nodes }
    }
}

fn document(judges: u64) -> Value {
    let vote = json!({"id": "vote", "jobSlug": "fragile", "input": {"idea": "${{ idea }}", "judge": "${{ judge }}"}});
    let votes =
        json!({"items": "${{ input.judges }}", "as": "judge", "join": {"quorum": judges / 2 + 1}, "body": vote});
    let body = json!({"steps": [
        {"id": "read", "jobSlug": "work", "input": "${{ idea }}"},
        {"id": "votes", "dependsOn": ["read"], "forEach": votes}],
        "output": {"name": "${{ nodes.read.output.name }}", "score": "${{ nodes.votes.output[0] }}"}});
    let scores = "nodes.judged.output.map(each, each.score)";
    let best = format!("${{{{ size({scores}) == 0 ? 0 : {scores}.sort().reverse()[0] }}}}");
    json!({"slug": SLUG, "nodes": [
        {"id": "ideate", "jobSlug": "work",
            "input": {"round": "${{ has(state.round) ? state.round : 0 }}", "of": "${{ input }}"}},
        {"id": "judged", "forEach": {"items": "${{ nodes.ideate.output }}", "as": "idea", "body": body}},
        {"id": "rank", "action": {"kind": "transform", "output": best}},
        {"id": "count", "action": {"kind": "transform", "output": "${{ has(state.round) ? state.round + 1 : 1 }}"},
            "storeResultAs": "round"},
        {"id": "gate", "action": {"kind": "human_input", "title": "Publish ${{ nodes.rank.output }}?", "quorum": 2, "due": "20s",
            "assignees": ["ada", "bo"], "onInvalid": "fail",
            "form": {"type": "object", "required": ["publish"], "properties": {"publish": {"type": "boolean"}}}}},
        {"id": "shelve", "action": {"kind": "transform", "output": "${{ error.code }}"}},
        {"id": "publish", "jobSlug": "work", "input": {"score": "${{ nodes.rank.output }}"}},
        {"id": "give_up", "action": "noop"}],
        "transitions": [{"from": "ideate", "to": "judged"}, {"from": "judged", "to": "rank"},
            {"from": "rank", "to": "count"}, {"from": "count", "to": "gate", "when": "nodes.rank.output >= 7"},
            {"from": "gate", "to": "publish", "when": "nodes.gate.output.all(one, one.value.publish)"},
            {"from": "gate", "to": "shelve", "on": "failure"},
            {"from": "count", "to": "ideate", "priority": 1, "maxIterations": 3},
            {"from": "count", "to": "give_up", "priority": 2}],
        "output": {"best": "${{ nodes.rank.output }}", "rounds": "${{ state.round }}"}})
}

/// How long an attempt takes: 50 to 200 ms, the same whenever it is asked.
pub fn takes(task: &Task) -> u64 {
    let text = format!("{} {} {}", task.node.node(), task.input.as_str(), task.attempt);
    let hash = u64::from_str_radix(&digest(text.as_bytes())[..8], 16).expect("a digest is hexadecimal");
    50 * MILLI + hash % (150 * MILLI)
}

/// What the handlers return: the same for the same input, whoever is asked and however often. The first judge never can.
pub fn outcome(task: &Task) -> ReportOutcome {
    let input = task.input.to_value();
    let number = |value: &Value| value.as_u64().expect("a number");
    let output = match task.node.node().as_str() {
        "ideate" => {
            let (round, of) = (number(&input["round"]), &input["of"]);
            let good = round >= number(&of["passes"]);
            let idea =
                |place| json!({"name": format!("{round}-{place}"), "score": if good { 5 + place } else { place % 5 }});
            Value::from_iter((0..number(&of["ideas"])).map(idea))
        }
        "vote" if number(&input["judge"]) == 0 => {
            return ReportOutcome::failed("abstains", "the first judge never has an opinion", true);
        }
        "vote" => input["idea"]["score"].clone(),
        _ => input,
    };
    ReportOutcome::Succeeded { output: Json::of(&output), assets: Vec::new() }
}

/// Lives through the story without a death, then with one at each of its appends.
fn dies_everywhere(ideas: u64, judges: u64, passes: u64, rounds: u64, people: People) {
    let (undisturbed, appends) = Cluster::pipeline(ideas, judges, passes, people, None).live_to_the_end();
    let RunEvent::RunSucceeded { output, .. } = &undisturbed.end else { panic!("it ends {:?}", undisturbed.end) };
    assert_eq!(output.to_value()["rounds"], rounds, "{output:?}");
    let outcomes = undisturbed.nodes.iter().filter(|(node, _)| node.as_str() == "publish");
    let published: u32 =
        outcomes.flat_map(|(_, how)| how.iter()).filter(|(how, _)| *how != "skipped").map(|(_, n)| n).sum();
    let is_good = output.to_value()["best"].as_u64() >= Some(7);
    assert_eq!(published == 1, is_good && people == People::Agree, "{output:?}");
    let shelved = undisturbed.nodes.iter().find(|(node, _)| node.as_str() == "shelve").expect("it is seen").1;
    let why = match people {
        People::Agree => "skipped",
        People::Babble => "\"human_answer_invalid\"",
        People::ComeLate => "\"human_overdue\"",
    };
    assert!(shelved.contains_key(why), "{shelved:?}");
    for at in 1..=appends {
        for dies in [Dies::Before, Dies::Behind] {
            let mut cluster = Cluster::pipeline(ideas, judges, passes, people, Some((at, dies)));
            let (fate, _) = cluster.live_to_the_end();
            assert_eq!(cluster.seats.len(), 2, "one owner dies, and the next one goes on to the end");
            if fate != undisturbed {
                eprintln!("{}", cluster.timeline.join("\n"));
            }
            assert_eq!(fate, undisturbed, "the owner died {dies:?} append {at} of {appends}");
        }
    }
    println!("{ideas} ideas, {judges} judges: {} deaths", 2 * appends);
}

#[test]
fn without_ideas_it_gives_up_after_four_rounds_wherever_its_owner_dies() {
    dies_everywhere(0, 3, 0, 4, People::Agree);
}

#[test]
fn one_idea_that_is_never_good_enough_ends_the_same_wherever_its_owner_dies() {
    dies_everywhere(1, 3, 0, 4, People::Agree);
}

#[test]
fn three_ideas_two_of_three_judges_and_a_second_round_end_the_same_wherever_its_owner_dies() {
    dies_everywhere(3, 3, 1, 2, People::Agree);
}

#[test]
fn five_ideas_and_three_of_five_judges_end_the_same_wherever_its_owner_dies() {
    dies_everywhere(5, 5, 0, 1, People::Agree);
}

#[test]
fn a_wrong_answer_at_the_gate_ends_the_same_wherever_its_owner_dies() {
    dies_everywhere(3, 3, 0, 1, People::Babble);
}

#[test]
fn answers_that_come_too_late_end_the_same_wherever_its_owner_dies() {
    dies_everywhere(3, 3, 0, 1, People::ComeLate);
}
