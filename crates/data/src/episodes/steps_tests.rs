use super::*;

fn episode(rewards: &[f32], end: End) -> Episodes {
    let mut episodes = Episodes::new(1, 1);
    let next: Vec<f32> = rewards.iter().map(|reward| reward + 1.0).collect();
    episodes.push(Episode {
        observations: rewards,
        actions: rewards,
        rewards,
        next_observations: &next,
        end,
    });
    episodes
}

#[test]
fn episodes_are_selected_in_order_and_as_often_as_they_are_named() {
    let mut episodes = episode(&[1.0, 2.0], End::Terminal);
    episodes.append(&episode(&[5.0], End::Timeout));
    assert_eq!(episodes.returns(), [3.0, 5.0]);
    let chosen = episodes.select(&[1, 0, 1]);
    assert_eq!(chosen.starts(), [0, 1, 3, 4]);
    assert_eq!(chosen.rewards(), [5.0, 1.0, 2.0, 5.0]);
    assert_eq!(chosen.next_observations(), [6.0, 2.0, 3.0, 6.0]);
    assert_eq!(chosen.ends(), [End::Timeout, End::Terminal, End::Timeout]);
    assert!(episodes.select(&[]).is_empty());
}

#[test]
fn returns_of_long_episodes_do_not_lose_small_rewards() {
    let mut rewards = vec![1e-3; 100_000];
    rewards[0] = 1e6;
    let found = episode(&rewards, End::Timeout).returns()[0];
    assert!((found - 1_000_099.999).abs() < 1e-2, "{found}");
}

#[test]
fn every_step_whose_future_is_known_is_a_transition() {
    let mut episodes = episode(&[1.0, 2.0], End::Terminal);
    episodes.append(&episode(&[3.0, 4.0], End::Timeout));
    let mut unknown = Episodes::new(1, 1);
    unknown.push(Episode {
        next_observations: &[5.0, f32::NAN],
        ..episode(&[5.0, 6.0], End::Timeout).episode(0)
    });
    episodes.append(&unknown);
    let found = episodes.transitions();
    assert_eq!(found.steps, [0, 1, 2, 3, 4]);
    assert_eq!(found.terminals, [false, true, false, false, false]);
}

#[test]
#[should_panic(expected = "numbers in observations")]
fn an_episode_with_too_few_actions_is_a_mistake_of_the_program() {
    let episodes = episode(&[1.0, 2.0], End::Terminal);
    Episodes::new(1, 1).push(Episode {
        actions: &[1.0],
        ..episodes.episode(0)
    });
}
