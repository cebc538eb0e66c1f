//! How rows become what the model sees: chat template or plain text, and the formats
//! of other programs.

#![allow(clippy::unwrap_used)] // In tests a panic is the report.

mod fixture;

use std::fs;

use fixture::{Ended, Workplace};
use serde_json::json;

/// A recipe's rows as the model sees them, all on one page.
fn inspect(place: &Workplace, sets: &[&str]) -> Ended {
    let mut args = vec!["inspect", "recipe.toml", "--rows", "9"];
    args.extend(sets.iter().flat_map(|set| ["--set", set]));
    place.iwsft(&args).succeeds()
}

#[track_caller]
fn shows(ended: &Ended, text: &str) {
    assert!(ended.stdout.contains(text), "no {text:?} in\n{ended}");
}

#[track_caller]
fn says(ended: &Ended, text: &str) {
    assert!(ended.stderr.contains(text), "no {text:?} in\n{ended}");
}

const WRAPPED: &str =
    "the model has a chat template: plain prompts are put into it as user messages";

#[test]
fn plain_prompts_go_into_the_chat_template_unless_the_recipe_says_no() {
    let place = Workplace::new();
    place.write(
        "train.jsonl",
        "{\"prompt\": \"2+2=\", \"completion\": \"4\"}\n",
    );
    let chosen = inspect(&place, &["data.chat="]);
    shows(&chosen, "user: 2+2=\nassistant:[[ 4<eos>]]");
    says(&chosen, WRAPPED);
    says(&chosen, "data.chat = false leaves them as they are");
    for chat in ["data.chat=true", "data.chat=auto"] {
        shows(
            &inspect(&place, &[chat]),
            "user: 2+2=\nassistant:[[ 4<eos>]]",
        );
    }
    let plain = inspect(&place, &["data.chat=false"]);
    shows(&plain, "2+2=[[4<eos>]]");
    assert!(!plain.stderr.contains(WRAPPED), "{plain}");
    // The same for a file alone.
    let file = ["inspect", "train.jsonl", "--model", "model"];
    shows(
        &place.iwsft(&file).succeeds(),
        "user: 2+2=\nassistant:[[ 4<eos>]]",
    );
    let file = [&file[..], &["--chat=false"]].concat();
    shows(&place.iwsft(&file).succeeds(), "2+2=[[4<eos>]]");
    // A model without a template has nothing to be put into.
    fs::remove_file(place.path("model/chat_template.jinja")).unwrap();
    let none = inspect(&place, &["data.chat="]);
    shows(&none, "2+2=[[4<eos>]]");
    assert!(!none.stderr.contains(WRAPPED), "{none}");
    place
        .train("run", &["data.chat=true"])
        .fails(2, &["the model has no chat template to put prompts into"]);
    place
        .train("run", &["data.chat=perhaps"])
        .fails(2, &["expected true, false or auto"]);
}

#[test]
fn what_is_rendered_already_is_not_rendered_twice_and_text_never() {
    let place = Workplace::new();
    place.write(
        "validation.jsonl",
        "{\"prompt\": \"1+1=\", \"completion\": \"2\"}\n",
    );
    place.write(
        "train.jsonl",
        "{\"prompt\": \"2+2=\", \"completion\": \"4\"}\n\
         {\"prompt\": \"user: 2+2=\\nassistant:\", \"completion\": \" 4\"}\n\
         {\"prompt\": \"3+3=\", \"completion\": \"6<eos>\"}\n",
    );
    let ended = inspect(&place, &["data.chat="]);
    shows(&ended, "user: 2+2=\nassistant:[[ 4<eos>]]");
    shows(&ended, "3+3=[[6<eos>]]");
    assert_eq!(ended.stdout.matches("user:").count(), 2, "{ended}");
    says(
        &ended,
        "2 of 3 plain prompts have the marks of a chat template in them already",
    );
    let trained = place.train("run", &["data.chat="]).succeeds();
    says(&trained, "train.jsonl: 2 of 3 plain prompts");
    // An answer of nothing is nothing to learn, in a template too.
    place.write(
        "train.jsonl",
        "{\"prompt\": \"2+2=\", \"completion\": \"\"}\n",
    );
    place
        .train("empty", &["data.chat=true"])
        .fails(2, &["train.jsonl:1", "no token that carries loss"]);
    place.write("train.jsonl", "{\"text\": \"so 2+2=4\"}\n");
    let ended = inspect(&place, &["data.chat=true"]);
    assert!(!ended.stdout.contains("user:"), "{ended}");
}

#[test]
fn drawn_rows_stay_as_they_were_drawn() {
    let place = Workplace::new();
    place.write(
        "prompts.jsonl",
        "{\"prompt\": \"1+1=\", \"system\": \"so\"}\n",
    );
    for (out, more) in [("plain.jsonl", &[][..]), ("chat.jsonl", &["--chat"])] {
        let args = [
            "sample",
            "model",
            "--prompts",
            "prompts.jsonl",
            "--out",
            out,
        ];
        let args = [&args[..], &["--max-tokens", "3"], more].concat();
        place.iwsft(&args).succeeds();
        let train = format!("data.train={out}");
        let ended = inspect(&place, &["data.chat=", &train]);
        let in_template = ended.stdout.contains("user: 1+1=\nassistant:[[");
        assert_eq!(in_template, out == "chat.jsonl", "{ended}");
        assert!(!ended.stdout.contains("system:"), "{ended}");
        assert!(!ended.stderr.contains(WRAPPED), "{ended}");
    }
}

#[test]
fn system_and_template_make_prompts_as_sample_makes_them() {
    let place = Workplace::new();
    place.write("train.jsonl", "{\"a\": \"2\", \"b\": 3, \"sum\": \"5\"}\n");
    place.write(
        "other.jsonl",
        "{\"messages\": [{\"role\": \"user\", \"content\": \"1+1=\"}, {\"role\": \"assistant\", \"content\": \"2\"}]}\n",
    );
    let columns = "data.columns={ completion = \"sum\" }";
    let template = "data.template={a}+{b}=";
    let ended = inspect(&place, &["data.chat=", columns, template]);
    shows(&ended, "user: 2+3=\nassistant:[[ 5<eos>]]");
    let system = "data.system=be brief";
    let ended = inspect(&place, &["data.chat=", columns, template, system]);
    shows(
        &ended,
        "system: be brief\nuser: 2+3=\nassistant:[[ 5<eos>]]",
    );
    let files = "data.train=[{ path = \"train.jsonl\", template = \"{a} and {b}\", chat = false, columns = { completion = \"sum\" } }, { path = \"other.jsonl\", system = \"so\" }]";
    let ended = inspect(&place, &["data.chat=", files]);
    shows(&ended, "2 and 3[[5<eos>]]");
    shows(&ended, "system: so\nuser: 1+1=\nassistant:[[ 2<eos>]]");
    place
        .train("run", &["data.chat=false", columns, template, system])
        .fails(
            2,
            &[
                "train.jsonl:1",
                "stays plain text, which has no place for `system`",
            ],
        );
    place
        .train("run", &[columns, "data.template={a}+{c}="])
        .fails(2, &["train.jsonl:1", "no column `c`", "a, b, sum"]);
    place
        .train("run", &[columns, "data.template=a+b"])
        .fails(2, &["names no column"]);
    // Curation counts the tokens that training will see: in the template a space
    // comes before the answer.
    place.write(
        "sums.jsonl",
        "{\"a\": \"2\", \"b\": 3, \"sum\": \"5\"}\n{\"a\": \"7\", \"b\": 8, \"sum\": \"15\"}\n",
    );
    let curate = |out: &str, more: &[&str]| {
        let rules = ["--model", "model", "--max-tokens", "3", "--out", out];
        let columns = ["--columns", "completion=sum", "--template", "{a}+{b}="];
        let args = [&["curate", "sums.jsonl"][..], &rules, &columns, more].concat();
        let ended = place.iwsft(&args).succeeds();
        (ended, place.lines(out).len())
    };
    let (ended, kept) = curate("chat.jsonl", &[]);
    says(&ended, "--chat=false leaves them as they are");
    assert_eq!(kept, 1);
    assert_eq!(curate("plain.jsonl", &["--chat=false"]).1, 2);
}

#[test]
fn a_run_asked_in_another_way_than_it_was_trained_is_warned_about() {
    let place = Workplace::new();
    place.write(
        "problems.jsonl",
        "{\"question\": \"1+1=\", \"prompt\": \"1+1=\", \"answer\": \"2\"}\n",
    );
    place
        .train("chat", &["data.chat=", "train.steps=1"])
        .succeeds();
    place.train("plain", &["train.steps=1"]).succeeds();
    assert!(place.read("chat/recipe.toml").contains("chat = true"));
    assert!(place.read("plain/recipe.toml").contains("chat = false"));
    let (in_template, as_text) = (
        "trained on prompts in its chat template",
        "trained on plain prompts",
    );
    let sample = |model: &str, more: &[&str]| {
        let args = ["sample", model, "--prompt", "1+1=", "--max-tokens", "1"];
        place.iwsft(&[&args[..], more].concat()).succeeds()
    };
    let asked = sample("chat/model", &[]);
    says(&asked, in_template);
    says(&asked, "--chat puts prompts into it");
    says(&sample("plain/model", &["--chat"]), as_text);
    for right in [
        sample("chat/model", &["--chat"]),
        sample("plain/model", &[]),
        sample("model", &[]),
        sample("model", &["--chat"]),
    ] {
        assert!(!right.stderr.contains("was trained"), "{right}");
    }
    // A checkpoint is the same model.
    says(&sample("chat/checkpoints/step-00000001", &[]), in_template);
    let eval = |model: &str, out: &str, more: &[&str]| {
        let args = [
            "eval",
            model,
            "--problems",
            "problems.jsonl",
            "--max-tokens",
            "1",
            "--out",
            out,
        ];
        place.iwsft(&[&args[..], more].concat()).succeeds()
    };
    says(&eval("plain/model", "one", &[]), "--plain asks so");
    says(
        &eval("chat/model", "two", &["--plain"]),
        "leave out --plain",
    );
    for right in [
        eval("plain/model", "three", &["--plain"]),
        eval("chat/model", "four", &[]),
    ] {
        assert!(!right.stderr.contains("was trained"), "{right}");
    }
    // While a run is trained, too.
    let exam = "eval={ every = 9, problems = \"problems.jsonl\", sampling = { max_tokens = 1 } }";
    let ended = place.train("exam", &["train.steps=1", exam]).succeeds();
    says(&ended, "in [eval] the model was trained on plain prompts");
    says(&ended, "`eval.plain = true` asks so");
    place.write(
        "rl.toml",
        "[model]\npath = \"chat/model\"\n[prompts]\nfile = \"problems.jsonl\"\n[rollout]\nrounds = 1\n\
         prompts = 1\ngroup = 2\nmax_tokens = 2\n",
    );
    says(
        &place.iwsft(&["rl", "rl.toml"]).succeeds(),
        "`prompts.chat = true` puts prompts into it",
    );
    let ended = place.iwsft(&[
        "rl",
        "rl.toml",
        "--set",
        "prompts.chat=true",
        "--run",
        "rl-chat",
    ]);
    assert!(!ended.succeeds().stderr.contains("was trained"));
    says(&sample("rl-chat/model", &[]), in_template);
    // The message of the system belongs to the way it was trained.
    let system = ["data.chat=true", "data.system=so", "train.steps=1"];
    place.train("system", &system).succeeds();
    says(
        &sample("system/model", &["--chat"]),
        "with the message of the system \"so\"; --system TEXT",
    );
    let right = sample("system/model", &["--chat", "--system", "so"]);
    assert!(!right.stderr.contains("was trained"), "{right}");
}

#[test]
fn a_run_from_before_the_choice_goes_on_as_it_began() {
    let place = Workplace::new();
    let sets = ["train.steps=4", "train.checkpoint_every=2"];
    place.train("run", &sets).succeeds();
    let recipe = place.read("run/recipe.toml");
    place.write("run/recipe.toml", &recipe.replace("chat = false\n", ""));
    let before = place.weights("run");
    let ended = place.iwsft(&["train", "run", "--resume"]).succeeds();
    assert!(!ended.stderr.contains(WRAPPED), "{ended}");
    assert!(before == place.weights("run"));
}

#[test]
fn alpaca_and_sharegpt_are_trained_on_with_nothing_to_configure() {
    let place = Workplace::new();
    let alpaca = json!([
        {"instruction": "add.", "input": "2, 3", "output": "5"},
        {"instruction": "add 1 and 1.", "input": "", "output": "2"},
    ]);
    place.write("train.json", &alpaca.to_string());
    let share_gpt = json!({
        "conversations": [{"from": "human", "value": "1+1="}, {"from": "gpt", "value": "2"}],
        "system": "so",
    });
    place.write("validation.jsonl", &format!("{share_gpt}\n"));
    let train = "data.train=train.json";
    let ended = inspect(&place, &["data.chat=", train]);
    shows(&ended, "user: add.\n2, 3\nassistant:[[ 5<eos>]]");
    shows(&ended, "user: add 1 and 1.\nassistant:[[ 2<eos>]]");
    says(&ended, "train.json: read as Alpaca");
    let ended = inspect(&place, &["data.chat=", "data.train=validation.jsonl"]);
    shows(&ended, "system: so\nuser: 1+1=\nassistant:[[ 2<eos>]]");
    let ended = place.train("run", &["data.chat=", train]).succeeds();
    says(&ended, "train.json: read as Alpaca");
    says(&ended, "validation.jsonl: read as ShareGPT");
    // Without a template Alpaca is plain text, and conversations are refused.
    fs::remove_file(place.path("model/chat_template.jinja")).unwrap();
    shows(
        &inspect(&place, &["data.chat=", train]),
        "add.\n2, 3\n[[5<eos>]]",
    );
    place
        .train("none", &["data.chat=", train])
        .fails(2, &["validation.jsonl:1", "no chat template"]);
    // Data for other kinds of training.
    place.write(
        "train.jsonl",
        "{\"prompt\": \"1+1=\", \"chosen\": \"2\", \"rejected\": \"3\"}\n",
    );
    place.train("none", &[]).fails(
        2,
        &[
            "train.jsonl:1",
            "`chosen` and `rejected`",
            "completion = \"chosen\"",
        ],
    );
    place.write(
        "train.jsonl",
        "{\"prompt\": \"1+1=\", \"completion\": \"2\", \"context\": \"sums\"}\n",
    );
    let ended = inspect(&place, &[]);
    says(
        &ended,
        "not read, though there is text in it: `context` (1 of 1 rows)",
    );
}

#[test]
fn a_path_that_is_no_model_says_what_to_name() {
    let place = Workplace::new();
    place.train("run", &["train.steps=1"]).succeeds();
    let sample =
        |model: &str| place.iwsft(&["sample", model, "--prompt", "1", "--max-tokens", "1"]);
    sample("Qwen/Qwen2.5-0.5B").fails(
        2,
        &["hf download Qwen/Qwen2.5-0.5B --local-dir models/Qwen2.5-0.5B"],
    );
    place
        .train("hub", &["model.path=Qwen/Qwen2.5-0.5B"])
        .fails(2, &["hf download Qwen/Qwen2.5-0.5B"]);
    sample("run").fails(2, &["run: is a run's folder; its model is in run/model"]);
    sample("run/checkpoints").fails(2, &["name one, such as run/checkpoints/step-00000001"]);
    sample("run/checkpoints/step-00000001").succeeds();
    fs::remove_file(place.path("model/model.safetensors")).unwrap();
    place.write("model/pytorch_model.bin", "");
    sample("model").fails(
        2,
        &[
            "`pytorch_model.bin`, and only safetensors are read",
            "save_pretrained",
        ],
    );
}
