//! How many bytes lived at each time: by engine, by place, and in all.
//!
//! Time is cut into at most [`STEPS`] steps of equal length. When more time passes, two steps become one. So a chart of
//! an hour takes as little memory as one of a second.

use rustc_hash::FxHashMap;

use super::names::Origin;
use crate::Totals;

/// How many steps of time a chart has at most.
const STEPS: u64 = 1024;

/// How many points the places have together before those of the smallest are given up.
const PLACE_POINTS: usize = 200_000;

/// The bytes at the end of a step of time, and the most that there were within it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) step: u32,
    pub(super) end: f64,
    pub(super) high: f64,
}

/// One line of a chart. Between two points it stays as it was.
#[derive(Debug, Default)]
pub(super) struct Track {
    pub(super) now: f64,
    pub(super) peak: f64,
    pub(super) points: Vec<Point>,
}

impl Track {
    /// Changes the bytes, and says by how many points the track grew.
    fn add(&mut self, step: u32, change: f64) -> usize {
        let before = self.now;
        self.now += change;
        self.peak = self.peak.max(self.now);
        match self.points.last_mut() {
            // Threads write their lines in no strict order, so that a step may be behind the last one.
            Some(last) if last.step >= step => {
                last.end = self.now;
                last.high = last.high.max(self.now);
                0
            }
            _ => {
                self.points.push(Point { step, end: self.now, high: before.max(self.now) });
                1
            }
        }
    }

    fn halve(&mut self) {
        self.points.iter_mut().for_each(|point| point.step /= 2);
        self.points.dedup_by(|later, earlier| {
            let same = later.step == earlier.step;
            if same {
                *earlier = Point { high: earlier.high.max(later.high), ..*later };
            }
            same
        });
    }
}

/// What is known of one place.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) track: Track,
    pub(super) totals: Totals,
    pub(super) leaked: f64,
    pub(super) leaked_bytes: f64,
}

/// The memory of one process over time.
#[derive(Debug, Default)]
pub(super) struct Chart {
    /// A step of time lasts two to this power nanoseconds.
    pub(super) shift: u32,
    pub(super) total: Track,
    /// By the set of the engines that have a buffer, as bits.
    pub(super) engines: FxHashMap<u32, Track>,
    pub(super) places: FxHashMap<Origin, Place>,
    place_points: usize,
}

impl Chart {
    /// The step of time that contains `time`.
    fn step(&mut self, time: u64) -> u32 {
        while time >> self.shift >= STEPS {
            self.shift += 1;
            self.total.halve();
            self.engines.values_mut().for_each(Track::halve);
            self.places.values_mut().for_each(|place| place.track.halve());
            self.place_points = self.places.values().map(|place| place.track.points.len()).sum();
        }
        (time >> self.shift) as u32
    }

    /// Bytes were made or freed at a place.
    pub(super) fn change(&mut self, time: u64, place: Origin, change: f64) {
        let step = self.step(time);
        self.total.add(step, change);
        self.place_points += self.places.entry(place).or_default().track.add(step, change);
        if self.place_points > PLACE_POINTS {
            self.give_up_small_places();
        }
    }

    /// Bytes came to the buffers of these engines, or left them.
    pub(super) fn engine(&mut self, time: u64, engines: u32, change: f64) {
        let step = self.step(time);
        self.engines.entry(engines).or_default().add(step, change);
    }

    /// Forgets the points of the smaller half of the places. The page shows lines of the largest only.
    fn give_up_small_places(&mut self) {
        let mut peaks: Vec<f64> = self.places.values().map(|place| place.track.peak).collect();
        let middle = peaks.len() / 2;
        let (_, &mut median, _) = peaks.select_nth_unstable_by(middle, f64::total_cmp);
        let mut left = 0;
        for place in self.places.values_mut() {
            if place.track.peak <= median {
                place.track.points = Vec::new();
            }
            left += place.track.points.len();
        }
        self.place_points = left;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_within_a_step_stays_when_steps_are_joined() {
        let mut chart = Chart::default();
        chart.change(1, Origin::Unknown, 100.0);
        chart.change(2, Origin::Unknown, -90.0);
        chart.change(1_000_000, Origin::Unknown, 5.0);
        let first = chart.total.points[0];
        assert_eq!((first.step, first.end, first.high), (0, 10.0, 100.0));
        let last = *chart.total.points.last().unwrap();
        assert_eq!((last.end, chart.total.peak), (15.0, 100.0));
    }

    #[test]
    fn many_places_take_bounded_memory_and_the_largest_keeps_its_line() {
        let mut chart = Chart::default();
        for time in 0..400_000u64 {
            chart.change(time, Origin::Site((time % 3_000) as u32), 1.0);
            if time % 400 == 0 {
                chart.change(time, Origin::Unknown, 1_000.0);
            }
        }
        assert!(chart.places.values().map(|place| place.track.points.len()).sum::<usize>() <= PLACE_POINTS);
        assert!(chart.places[&Origin::Unknown].track.points.len() > 400);
    }

    #[test]
    fn a_late_line_of_another_thread_does_not_go_back_in_time() {
        let mut chart = Chart::default();
        chart.change(900, Origin::Unknown, 1.0);
        chart.change(5, Origin::Unknown, 1.0);
        assert_eq!(chart.total.points, [Point { step: 900, end: 2.0, high: 2.0 }]);
    }
}
