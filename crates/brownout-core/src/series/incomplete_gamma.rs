//! The Gamma distribution's two tails, by the series and the continued fraction of the incomplete Gamma
//! function (Abramowitz and Stegun 6.5.29 and 6.5.31).

use libm::{exp, lgamma, log, log1p};

/// ln Q(a, y): of how probable it is that a Gamma variable of shape a > 0 and rate 1 is over y >= 0.
pub(crate) fn ln_upper(a: f64, y: f64) -> f64 {
    if y <= 0.0 {
        0.0
    } else if y < a + 1.0 {
        log1p(-exp(ln_front(a, y) + log(series(a, y))).min(1.0 - f64::EPSILON))
    } else {
        ln_front(a, y) + log(fraction(a, y))
    }
}

/// ln P(a, y): that it is at most y.
pub(crate) fn ln_lower(a: f64, y: f64) -> f64 {
    if y <= 0.0 {
        f64::NEG_INFINITY
    } else if y < a + 1.0 {
        ln_front(a, y) + log(series(a, y))
    } else {
        log1p(-exp(ln_front(a, y) + log(fraction(a, y))).min(1.0 - f64::EPSILON))
    }
}

/// ln of y^a e^-y / Γ(a).
fn ln_front(a: f64, y: f64) -> f64 {
    a * log(y) - y - lgamma(a)
}

fn series(a: f64, y: f64) -> f64 {
    let mut term = 1.0 / a;
    let mut sum = term;
    // The number of terms grows with the square root of the shape.
    for step in 1..100_000 {
        term *= y / (a + f64::from(step));
        sum += term;
        if term < sum * 1e-12 {
            break;
        }
    }
    sum
}

/// By the method of Lentz.
fn fraction(a: f64, y: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut b = y + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / away(b);
    let mut fraction = d;
    for step in 1..100_000 {
        let step = f64::from(step);
        let numerator = -step * (step - a);
        b += 2.0;
        d = 1.0 / away(numerator * d + b);
        c = away(b + numerator / c);
        fraction *= c * d;
        if (c * d - 1.0).abs() < 1e-12 {
            break;
        }
    }
    fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_shapes_agree_with_the_poisson_sum() {
        for a in 1..40_u32 {
            for y in [0.01, 0.5, 3.0, 17.0, 40.0, 90.0] {
                // Q(a, y) is P(fewer than a arrivals where y are usual).
                let mut term = exp(-y);
                let mut sum = 0.0;
                for arrivals in 0..a {
                    sum += term;
                    term *= y / f64::from(arrivals + 1);
                }
                let (upper, lower) = (ln_upper(f64::from(a), y), ln_lower(f64::from(a), y));
                assert!((exp(upper) - sum).abs() < 1e-10 * sum.max(1e-3), "{a} {y}: {}", exp(upper));
                assert!((exp(upper) + exp(lower) - 1.0).abs() < 1e-9, "{a} {y}");
            }
        }
    }

    #[test]
    fn far_tails_are_told_apart() {
        assert!(ln_upper(4.0, 2000.0) < ln_upper(4.0, 1990.0));
        assert!(ln_upper(4.0, 2000.0) > -2000.0);
        assert_eq!(ln_upper(3.0, 0.0), 0.0);
        assert_eq!(ln_lower(3.0, 0.0), f64::NEG_INFINITY);
    }
}
