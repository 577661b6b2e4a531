//! Gauges for the facade `metrics`.

use metrics::gauge;

use crate::Ledger;

impl Ledger {
    /// Sets the gauges of the crate `metrics`: `offheap_stores`, `offheap_live_stores`, `offheap_live_bytes`,
    /// `offheap_external_bytes` and `offheap_refused`; for each place that has live stores, with its `site` as a label,
    /// `offheap_site_live_bytes` and `offheap_site_peak_bytes`.
    ///
    /// Call it as often as the numbers are collected. It reads sums, which takes some microseconds for each place.
    pub fn record_metrics(&self) {
        let (mut live_stores, mut live_bytes) = (0, 0);
        for totals in self.totals().into_iter().filter(|totals| totals.peak_bytes > 0) {
            live_stores += totals.live_stores;
            live_bytes += totals.live_bytes;
            gauge!("offheap_site_live_bytes", "site" => totals.site.clone()).set(totals.live_bytes as f64);
            gauge!("offheap_site_peak_bytes", "site" => totals.site).set(totals.peak_bytes as f64);
        }
        if self.is_counted() {
            let counted = offheap::observe::totals();
            (live_stores, live_bytes) = (counted.live_stores(), counted.live_bytes());
        }
        let balance = self.balance_with(0);
        gauge!("offheap_stores").set(balance.stores as f64);
        gauge!("offheap_external_bytes").set(balance.external_bytes as f64);
        gauge!("offheap_refused").set(balance.refused as f64);
        gauge!("offheap_live_stores").set(live_stores as f64);
        gauge!("offheap_live_bytes").set(live_bytes as f64);
    }
}
