//! Names of units and what they measure.

use std::collections::HashMap;
use std::sync::LazyLock;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Zero;

/// Base units with their exponents.
pub(super) type Dimension = &'static [(&'static str, i32)];

/// What one of a unit is in base units: `scale * pi^pi`, and what is added to a
/// value before it is multiplied.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Known {
    pub(super) scale: BigRational,
    pub(super) pi: i32,
    pub(super) offset: BigRational,
    pub(super) dimension: Dimension,
}

const LENGTH: Dimension = &[("m", 1)];
const AREA: Dimension = &[("m", 2)];
const VOLUME: Dimension = &[("m", 3)];
const MASS: Dimension = &[("g", 1)];
const TIME: Dimension = &[("s", 1)];
/// Months are of no fixed number of days.
const MONTHS: Dimension = &[("month", 1)];
const SPEED: Dimension = &[("m", 1), ("s", -1)];
const FREQUENCY: Dimension = &[("s", -1)];
const FORCE: Dimension = &[("g", 1), ("m", 1), ("s", -2)];
const PRESSURE: Dimension = &[("g", 1), ("m", -1), ("s", -2)];
const ENERGY: Dimension = &[("g", 1), ("m", 2), ("s", -2)];
const POWER: Dimension = &[("g", 1), ("m", 2), ("s", -3)];
const CURRENT: Dimension = &[("A", 1)];
const CHARGE: Dimension = &[("A", 1), ("s", 1)];
const VOLTAGE: Dimension = &[("A", -1), ("g", 1), ("m", 2), ("s", -3)];
const RESISTANCE: Dimension = &[("A", -2), ("g", 1), ("m", 2), ("s", -3)];
const AMOUNT: Dimension = &[("mol", 1)];
const INFORMATION: Dimension = &[("bit", 1)];
pub(super) const ANGLE: Dimension = &[("rad", 1)];
pub(super) const TEMPERATURE: Dimension = &[("K", 1)];
const POINTS: Dimension = &[("percentage point", 1)];
const DOLLAR: Dimension = &[("$", 1)];
const EURO: Dimension = &[("€", 1)];
const STERLING: Dimension = &[("£", 1)];
const RUPEE: Dimension = &[("₹", 1)];

/// Names, and what one is.
const UNITS: [(&str, i64, i64, Dimension); 69] = [
    ("meter metre m", 1, 1, LENGTH),
    ("inch inches in", 254, 10_000, LENGTH),
    ("foot feet ft", 3048, 10_000, LENGTH),
    ("yard yd", 9144, 10_000, LENGTH),
    ("mile mi", 1_609_344, 1000, LENGTH),
    ("acre", 40_468_564_224, 10_000_000, AREA),
    ("hectare ha", 10_000, 1, AREA),
    ("liter litre L", 1, 1000, VOLUME),
    ("l", 1, 1000, VOLUME),
    ("gallon gal", 3_785_411_784, 1_000_000_000_000, VOLUME),
    ("quart qt", 946_352_946, 1_000_000_000_000, VOLUME),
    ("pint", 473_176_473, 1_000_000_000_000, VOLUME),
    ("cup", 2_365_882_365, 10_000_000_000_000, VOLUME),
    (
        "tablespoon tbsp",
        1_478_676_478_125,
        100_000_000_000_000_000,
        VOLUME,
    ),
    (
        "teaspoon tsp",
        492_892_159_375,
        100_000_000_000_000_000,
        VOLUME,
    ),
    ("gram gramme g", 1, 1, MASS),
    ("ton tonne", 1_000_000, 1, MASS),
    ("pound lb", 45_359_237, 100_000, MASS),
    ("ounce oz", 28_349_523_125, 1_000_000_000, MASS),
    ("second sec s", 1, 1, TIME),
    ("minute min", 60, 1, TIME),
    ("hour hr h", 3600, 1, TIME),
    ("day", 86_400, 1, TIME),
    ("week wk", 604_800, 1, TIME),
    ("month", 1, 1, MONTHS),
    ("year yr", 12, 1, MONTHS),
    ("decade", 120, 1, MONTHS),
    ("century centuries", 1200, 1, MONTHS),
    ("mph", 1_609_344, 3_600_000, SPEED),
    ("kph kmh kmph", 1000, 3600, SPEED),
    ("hertz Hz", 1, 1, FREQUENCY),
    ("newton N", 1000, 1, FORCE),
    ("pascal Pa", 1000, 1, PRESSURE),
    ("joule J", 1000, 1, ENERGY),
    ("calorie cal", 4184, 1, ENERGY),
    ("Wh", 3_600_000, 1, ENERGY),
    ("watt W", 1000, 1, POWER),
    ("ampere amp A", 1, 1, CURRENT),
    ("coulomb", 1, 1, CHARGE),
    ("volt V", 1000, 1, VOLTAGE),
    ("ohm Ω", 1000, 1, RESISTANCE),
    ("mole mol", 1, 1, AMOUNT),
    ("bit", 1, 1, INFORMATION),
    ("byte B", 8, 1, INFORMATION),
    ("radian rad", 1, 1, ANGLE),
    ("kelvin kelvins", 1, 1, TEMPERATURE),
    ("pp", 1, 1, POINTS),
    ("dollar usd buck $", 1, 1, DOLLAR),
    ("cent ¢", 1, 100, DOLLAR),
    ("euro eur €", 1, 1, EURO),
    ("eurocent", 1, 100, EURO),
    ("sterling gbp £", 1, 1, STERLING),
    ("pence", 1, 100, STERLING),
    ("rupee rs inr ₹", 1, 1, RUPEE),
    ("paise paisa", 1, 100, RUPEE),
    ("yen jpy ¥ ￥", 1, 1, &[("¥", 1)]),
    ("yuan rmb cny", 1, 1, &[("yuan", 1)]),
    ("krw ₩", 1, 1, &[("₩", 1)]),
    ("ruble rouble rub ₽", 1, 1, &[("₽", 1)]),
    ("lira ₺", 1, 1, &[("₺", 1)]),
    ("shekel ₪", 1, 1, &[("₪", 1)]),
    ("dong ₫", 1, 1, &[("₫", 1)]),
    ("peso ₱", 1, 1, &[("₱", 1)]),
    ("naira ₦", 1, 1, &[("₦", 1)]),
    ("hryvnia ₴", 1, 1, &[("₴", 1)]),
    ("baht ฿", 1, 1, &[("฿", 1)]),
    ("franc chf", 1, 1, &[("franc", 1)]),
    ("krona kronor krone kroner", 1, 1, &[("krona", 1)]),
    ("zloty pln", 1, 1, &[("zloty", 1)]),
];

/// Angles as parts of pi.
const ANGLES: [(&str, i64, i64); 4] = [
    ("degree deg °", 1, 180),
    ("arcminute arcmin", 1, 10_800),
    ("arcsecond arcsec", 1, 648_000),
    ("revolution", 2, 1),
];

/// Powers of ten by word and sign.
const PREFIXES: [(&str, &str, i32); 12] = [
    ("tera", "T", 12),
    ("giga", "G", 9),
    ("mega", "M", 6),
    ("kilo", "k", 3),
    ("hecto", "", 2),
    ("deca", "", 1),
    ("deci", "d", -1),
    ("centi", "c", -2),
    ("milli", "m", -3),
    ("micro", "µ", -6),
    ("micro", "μ", -6),
    ("nano", "n", -9),
];

/// Units that take them.
const PREFIXED: &str = "meter metre m gram gramme g liter litre L l second s watt W Wh joule J \
    newton N pascal Pa volt V ampere amp A hertz Hz byte B bit calorie cal mole mol ohm Ω ton";

static TABLE: LazyLock<HashMap<String, Known>> = LazyLock::new(|| {
    let mut table = HashMap::new();
    let known = |over: i64, under: i64, pi: i32, dimension: Dimension| Known {
        scale: BigRational::new(BigInt::from(over), BigInt::from(under)),
        pi,
        offset: BigRational::zero(),
        dimension,
    };
    for (names, over, under, dimension) in UNITS {
        for name in names.split(' ') {
            table.insert(name.to_owned(), known(over, under, 0, dimension));
        }
    }
    for (names, over, under) in ANGLES {
        for name in names.split(' ') {
            table.insert(name.to_owned(), known(over, under, 1, ANGLE));
        }
    }
    let ratio = |over: i64, under: i64| BigRational::new(BigInt::from(over), BigInt::from(under));
    for (name, scale, offset) in [
        ("celsius", ratio(1, 1), ratio(27_315, 100)),
        ("fahrenheit", ratio(5, 9), ratio(45_967, 100)),
    ] {
        let degree = Known {
            scale,
            pi: 0,
            offset,
            dimension: TEMPERATURE,
        };
        table.insert(name.to_owned(), degree);
    }
    for name in PREFIXED.split_whitespace() {
        let Some(unit) = table.get(name).cloned() else {
            continue;
        };
        let is_word = name.len() > 3;
        for (word, sign, exponent) in PREFIXES {
            let prefix = if is_word { word } else { sign };
            if prefix.is_empty() || name == "ton" && exponent < 3 {
                continue;
            }
            let factor = BigRational::from_integer(BigInt::from(10)).pow(exponent);
            let scale = &unit.scale * factor;
            table.insert(
                format!("{prefix}{name}"),
                Known {
                    scale,
                    ..unit.clone()
                },
            );
        }
    }
    table
});

/// The unit of a name, in the singular or plural. Signs of units differ by case
/// (`mW`, `MW`); words do not.
pub(super) fn unit(name: &str) -> Option<&'static Known> {
    let exact = TABLE.get(name);
    if exact.is_some() {
        return exact;
    }
    let singular = |word: &str| {
        let stem = word.strip_suffix('s')?;
        let letters = stem.chars().count();
        let fits = letters > 2 || letters == 2 && ABBREVIATIONS.contains(&stem);
        TABLE.get(stem).filter(|_| fits)
    };
    let lower = name.to_lowercase();
    let in_lower_case = || TABLE.get(&lower).filter(|_| lower.chars().count() > 1);
    singular(name)
        .or_else(in_lower_case)
        .or_else(|| singular(&lower))
}

/// Abbreviations that have a plural.
const ABBREVIATIONS: [&str; 11] = [
    "lb", "kg", "hr", "yd", "km", "cm", "mm", "ml", "mg", "wk", "yr",
];
