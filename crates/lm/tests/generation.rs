//! Completions: what is drawn, with which probability, and that nothing but
//! model, prompt, draw and seed decides it.

mod small_tokenizers;

use std::path::{Path, PathBuf};

use iwsft_engine::{Policy, Tensor};
use iwsft_lm::{
    Completion, Decoder, Finish, Generation, LanguageModel, LmError, MemoryPlan, ModelConfig, Room,
    Sampling, TokenBatch, TokenRequest, Tokenizer, weights,
};
use proptest::prelude::*;
use safetensors::SafeTensors;
use small_tokenizers::KINDS;

const MODELS: [&str; 6] = [
    "llama",
    "llama_tied",
    "llama3",
    "qwen2_bf16",
    "qwen3_sharded",
    "mistral_f16",
];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

struct Model {
    model: LanguageModel,
    parameters: Tensor,
    decoder: Decoder,
    /// Printable characters without end tokens.
    tokenizer: Tokenizer,
}

impl Model {
    fn load(name: &str) -> Self {
        let folder = fixtures().join("models").join(name);
        let config = ModelConfig::from_folder(&folder).expect("a configuration");
        let model = LanguageModel::new(config, MemoryPlan::default());
        let parameters = weights::load(&folder, model.layout()).expect("weights");
        let parameters = Tensor::from_vec(parameters);
        let folder = tempfile::tempdir().expect("a folder");
        let file = "tokenizer.json";
        std::fs::copy(fixtures().join("chat").join(file), folder.path().join(file))
            .expect("a copy");
        Self {
            decoder: Decoder::new(&model, &parameters),
            tokenizer: Tokenizer::from_folder(folder.path()).expect("a tokenizer"),
            model,
            parameters,
        }
    }

    fn complete(
        &mut self,
        requests: &[TokenRequest],
        sampling: &Sampling,
        room: Room,
    ) -> Result<Vec<Completion>, LmError> {
        let mut completions = vec![None; requests.len()];
        let mut work =
            Generation::new(&mut self.decoder, &self.tokenizer, requests, sampling, room)?;
        while work.step()? {
            for (index, completion) in work.finished() {
                assert!(completions[index].replace(completion).is_none());
            }
        }
        let each = completions.into_iter();
        Ok(each.map(|each| each.expect("one for each")).collect())
    }

    fn one(&mut self, prompt: &[u32], sampling: &Sampling) -> Completion {
        let completions = self.complete(&[request(prompt, 0)], sampling, Room::default());
        completions.expect("a completion").remove(0)
    }

    /// Log-probabilities of the tokens behind a prompt as training computes them.
    fn log_probs(&mut self, prompt: &[u32], tokens: &[u32]) -> Vec<f32> {
        let mut batch = TokenBatch::new();
        batch.push(&[prompt, tokens].concat(), |i| i >= prompt.len());
        let mut log_probs = vec![0.0; batch.steps()];
        self.model
            .log_probs(&self.parameters, &batch, &mut log_probs);
        log_probs
    }
}

fn request(prompt: &[u32], draw: u64) -> TokenRequest {
    TokenRequest {
        prompt: prompt.into(),
        draw,
    }
}

fn greedy(max_tokens: usize) -> Sampling {
    Sampling {
        temperature: 0.0,
        max_tokens,
        ..Sampling::default()
    }
}

#[test]
fn greedy_completions_are_those_of_transformers() {
    for name in MODELS {
        let bytes = std::fs::read(
            fixtures()
                .join("models")
                .join(name)
                .join("expected.safetensors"),
        )
        .expect("the fixture");
        let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
        let integers = |name: &str| -> Vec<u32> {
            let data = file.tensor(name).expect("a tensor").data().as_chunks().0;
            data.iter().map(|word| u32::from_le_bytes(*word)).collect()
        };
        let (prompt, expected) = (&integers("tokens")[..5], integers("generated"));
        let mut model = Model::load(name);
        let completion = model.one(prompt, &greedy(12));
        assert_eq!(completion.tokens, expected, "{name}");
        assert_eq!(completion.finish, Finish::Length);

        let stop_tokens = vec![expected[3]];
        let first = expected
            .iter()
            .position(|token| stop_tokens.contains(token));
        let stopping = Sampling {
            stop_tokens,
            ..greedy(12)
        };
        let stopped = model.one(prompt, &stopping);
        assert_eq!(stopped.tokens, expected[..=first.expect("it is there")]);
        assert_eq!(stopped.finish, Finish::Stop);
    }
}

#[test]
fn log_probs_are_those_that_training_computes() {
    for name in MODELS {
        let mut model = Model::load(name);
        for temperature in [0.0, 1.0] {
            let sampling = Sampling {
                temperature,
                max_tokens: 100,
                ..Sampling::default()
            };
            let prompt = [5, 9, 60, 33];
            let completion = model.one(&prompt, &sampling);
            let expected = model.log_probs(&prompt, &completion.tokens);
            assert_eq!(completion.log_probs.len(), 100);
            for (found, expected) in completion.log_probs.iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 1e-4,
                    "{name}: {found} {expected}"
                );
            }
        }
    }
}

#[test]
fn temperature_and_truncation_change_what_is_drawn_and_its_log_prob() {
    let mut model = Model::load("llama");
    let sampling = Sampling {
        temperature: 0.7,
        top_k: Some(1),
        max_tokens: 9,
        ..Sampling::default()
    };
    let completion = model.one(&[7, 8], &sampling);
    assert_eq!(completion.tokens, model.one(&[7, 8], &greedy(9)).tokens);
    assert_eq!(completion.log_probs, [0.0; 9], "nothing else could come");
}

/// Prompts that share beginnings, are alike, and differ in length; together they
/// are more than what a step takes up of prompts.
fn prompts() -> Vec<Vec<u32>> {
    let long: Vec<u32> = (0..120).map(|i| i * 7 % 64).collect();
    let mut prompts: Vec<Vec<u32>> = [1, 2, 5, 64, 65, 119]
        .map(|length| long[..length].to_vec())
        .to_vec();
    prompts.extend([vec![9, 8, 7], long[..5].to_vec(), vec![7, 8, 9, 10]]);
    prompts
}

fn requests() -> Vec<TokenRequest> {
    let draws = |prompt: &Vec<u32>| [0, 1, 2].map(|draw| request(prompt, draw));
    prompts().iter().flat_map(draws).collect()
}

fn varied() -> Sampling {
    Sampling {
        temperature: 1.3,
        top_p: 0.95,
        max_tokens: 40,
        // Some completions are short, some long.
        stop_tokens: vec![11, 12, 13],
        seed: 5,
        ..Sampling::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_completion_depends_on_model_prompt_draw_and_seed_alone(
        order in Just((0..27).collect::<Vec<usize>>()).prop_shuffle(),
        part in 1..27usize,
        slots in 1..30usize,
        threads in 1..3usize,
        name in prop::sample::select(&MODELS[..]),
    ) {
        let mut model = Model::load(name);
        let all = requests();
        let alone: Vec<Completion> = all
            .iter()
            .map(|request| {
                let room = Room { slots: 1, ..Room::default() };
                let mut completions = model.complete(std::slice::from_ref(request), &varied(), room);
                completions.as_mut().expect("a completion").remove(0)
            })
            .collect();
        let some: Vec<usize> = order[..part].to_vec();
        let requests: Vec<TokenRequest> = some.iter().map(|&index| all[index].clone()).collect();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        let room = Room { slots, ..Room::default() };
        let together = pool.install(|| model.complete(&requests, &varied(), room));
        for (completion, index) in together.expect("completions").iter().zip(some) {
            prop_assert_eq!(completion, &alone[index], "request {} of {}", index, name);
        }
    }
}

#[test]
fn draws_and_seeds_differ_and_prompts_have_their_own_random_numbers() {
    let mut model = Model::load("llama");
    let sampling = |seed| Sampling {
        max_tokens: 12,
        seed,
        ..Sampling::default()
    };
    let requests = [
        request(&[7, 8], 0),
        request(&[7, 8], 1),
        request(&[7, 8], 0),
    ];
    let mut tokens = |seed| -> Vec<Vec<u32>> {
        let all = model.complete(&requests, &sampling(seed), Room::default());
        let all = all.expect("completions").into_iter();
        all.map(|completion| completion.tokens).collect()
    };
    let (one, two) = (tokens(1), tokens(2));
    assert_eq!(one[0], one[2]);
    assert_ne!(one[0], one[1]);
    assert_ne!(one[0], two[0]);
}

#[test]
fn a_memory_budget_bounds_the_sequences_in_work() {
    let mut model = Model::load("llama");
    let bytes = model.decoder.cache_bytes(60);
    // Two layers, keys and values, two heads of eight, whole blocks of 64.
    assert_eq!(bytes, 2 * 2 * 2 * 8 * 64 * 4);
    let all = requests();
    let (few, many) = (
        Room {
            cache_bytes: 0,
            ..Room::default()
        },
        Room::default(),
    );
    let few = model.complete(&all, &varied(), few).expect("completions");
    let many = model.complete(&all, &varied(), many).expect("completions");
    assert_eq!(few, many);
}

#[test]
fn a_stop_text_ends_a_completion_wherever_the_tokens_part_it() {
    let mut model = Model::load("llama");
    let sampling = Sampling {
        seed: 3,
        max_tokens: 240,
        ..Sampling::default()
    };
    let whole = model.one(&[7, 8, 9], &sampling);
    let text = &whole.text;
    // A token is a character, or special and not part of the text.
    let characters: Vec<char> = text.chars().collect();
    for (start, end) in [(0, 1), (3, 6), (20, 24), (41, 50), (180, 183), (200, 205)] {
        let stop: String = characters[start..end].iter().collect();
        let at = text.find(&stop).expect("it is part of the text");
        let sampling = Sampling {
            stop: vec!["never there".into(), stop.clone()],
            ..sampling.clone()
        };
        let cut = model.one(&[7, 8, 9], &sampling);
        assert_eq!(cut.text, text[..at], "{stop:?}");
        assert_eq!(cut.finish, Finish::Stop);
        // What was drawn is kept, the stop text included.
        assert_eq!(cut.tokens, whole.tokens[..cut.tokens.len()]);
        let kept = model.tokenizer.decode(&cut.tokens, false).expect("text");
        assert!(kept.ends_with(&stop), "{kept:?} {stop:?}");
        assert_eq!(cut.log_probs, whole.log_probs[..cut.tokens.len()]);
    }
}

#[test]
fn prompt_and_completion_together_read_as_their_tokens_do() {
    let mut model = Model::load("llama");
    for kind in KINDS {
        model.tokenizer = kind.tokenizer(false);
        let prompt = model.tokenizer.encode_opening("z cd").expect("tokens");
        let requests: Vec<TokenRequest> = (0..20).map(|draw| request(&prompt, draw)).collect();
        let sampling = Sampling {
            max_tokens: 12,
            ..Sampling::default()
        };
        let completions = model.complete(&requests, &sampling, Room::default());
        let stopping = Sampling {
            stop: vec![" a".to_owned()],
            ..sampling
        };
        let cut = model.complete(&requests, &stopping, Room::default());
        let read = |tokens: &[u32]| model.tokenizer.decode(tokens, false).expect("text");
        let mut stopped = 0;
        for (whole, cut) in completions
            .expect("completions")
            .iter()
            .zip(cut.expect("completions"))
        {
            // What is cut off within a character reads otherwise by itself.
            let all = read(&[&prompt[..], &whole.tokens].concat());
            if !all.contains('\u{FFFD}') {
                assert_eq!(read(&prompt) + &whole.text, all, "{kind:?}");
            }
            let end = whole.text.find(" a");
            assert_eq!(
                cut.text,
                whole.text[..end.unwrap_or(whole.text.len())],
                "{kind:?}"
            );
            stopped += usize::from(end.is_some());
        }
        assert!(stopped > 0, "{kind:?}");
    }
}

#[test]
fn the_context_ends_a_completion_too() {
    let mut model = Model::load("llama");
    let prompt: Vec<u32> = (0..250).map(|i| i % 64).collect();
    let completion = model.one(&prompt, &greedy(100));
    assert_eq!(
        (completion.tokens.len(), completion.finish),
        (6, Finish::Length)
    );
    let expected = model.log_probs(&prompt, &completion.tokens);
    for (found, expected) in completion.log_probs.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-4, "{found} {expected}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut model = Model::load("llama");
    let full: Vec<u32> = vec![1; 256];
    for (prompt, found) in [(&full[..0], "0 tokens"), (&full[..], "256 tokens")] {
        let refused = model.complete(&[request(prompt, 0)], &greedy(1), Room::default());
        let message = refused.expect_err("a bad prompt").to_string();
        assert!(
            message.contains(found) && message.contains("room for 256"),
            "{message}"
        );
    }
    let refused = |change: &dyn Fn(&mut Sampling)| {
        let mut sampling = Sampling::default();
        change(&mut sampling);
        sampling.check().expect_err("nonsense").to_string()
    };
    type Case<'a> = (&'a dyn Fn(&mut Sampling), &'a str);
    let cases: [Case<'_>; 10] = [
        (&|s| s.temperature = -0.1, "`temperature` is -0.1"),
        (&|s| s.temperature = f64::NAN, "`temperature` is NaN"),
        (&|s| s.temperature = f64::INFINITY, "`temperature` is inf"),
        (&|s| s.top_p = 0.0, "`top_p` is 0"),
        (&|s| s.top_p = 2.0, "`top_p` is 2"),
        (&|s| s.top_p = f64::NAN, "`top_p` is NaN"),
        (&|s| s.top_k = Some(0), "`top_k` is 0"),
        (&|s| s.min_p = 1.5, "`min_p` is 1.5"),
        (&|s| s.max_tokens = 0, "`max_tokens` is 0"),
        (&|s| s.stop = vec![String::new()], "`stop` is an empty text"),
    ];
    for (change, expected) in cases {
        let message = refused(change);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn broken_weights_are_an_error_and_not_a_token() {
    let mut model = Model::load("llama");
    let broken = vec![f32::NAN; model.parameters.len()];
    model.decoder = Decoder::new(&model.model, &Tensor::from_vec(broken));
    let result = model.complete(&[request(&[1], 0)], &Sampling::default(), Room::default());
    assert!(
        matches!(result, Err(LmError::LogitsNotFinite)),
        "{result:?}"
    );
}

#[test]
fn a_real_checkpoint_continues_a_story() {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/weights/story_656k");
    if !folder.exists() {
        eprintln!("skipped: {} is not here", folder.display());
        return;
    }
    let config = ModelConfig::from_folder(&folder).expect("a Llama");
    let tokenizer = Tokenizer::from_folder(&folder).expect("its tokenizer");
    let model = LanguageModel::new(config, MemoryPlan::default());
    let parameters = Tensor::from_vec(weights::load(&folder, model.layout()).expect("its weights"));
    let prompt = tokenizer
        .encode("Once upon a time, there was", true)
        .expect("tokens");
    let mut decoder = Decoder::new(&model, &parameters);
    let (requests, sampling) = ([request(&prompt, 0)], greedy(40));
    let room = Room::default();
    let mut work =
        Generation::new(&mut decoder, &tokenizer, &requests, &sampling, room).expect("a prompt");
    while work.step().expect("a step") {}
    let (_, story) = work.finished().next().expect("a completion");
    // What transformers generates from this checkpoint and prompt.
    let expected = "an elderly man who lived in a big tree with many other people. \
        He loved to explore and play with his friends. One day, he saw a small bird";
    assert!(story.text.trim_start().starts_with(expected), "{story:?}");
}
