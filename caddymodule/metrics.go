package caddymodule

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// The descriptions of what /metrics shows. Labels have few values: sources are
// those of the configuration, and nothing comes from a request.
var (
	callsDesc = prometheus.NewDesc("auditgate_calls_total",
		"Calls that became records, by how they ended.", []string{"source", "outcome"}, nil)
	storedDesc = prometheus.NewDesc("auditgate_records_stored_total",
		"Records committed to the store.", nil, nil)
	lostDesc = prometheus.NewDesc("auditgate_records_lost_total",
		"Calls that became no record but part of a gap, by reason.", []string{"reason"}, nil)
	refusedDesc = prometheus.NewDesc("auditgate_calls_refused_total",
		"Calls that were answered with 503 because no receipt of them could be stored (fail closed).", []string{"source"}, nil)
	memoryDesc = prometheus.NewDesc("auditgate_memory_bytes",
		"Memory that bodies and records take until they are stored.", nil, nil)
	bytesDesc = prometheus.NewDesc("auditgate_store_bytes",
		"Size of the store on disk.", nil, nil)
	commitDesc = prometheus.NewDesc("auditgate_commit_duration_seconds",
		"How long commits to the store took.", nil, nil)
	oldestDesc = prometheus.NewDesc("auditgate_oldest_record_timestamp_seconds",
		"When the oldest record that is kept began, in Unix time.", nil, nil)
	droppedDesc = prometheus.NewDesc("auditgate_records_dropped_total",
		"Records that retention has dropped: for their age, or since the volume was too full.", []string{"reason"}, nil)
	overfullDesc = prometheus.NewDesc("auditgate_store_overfull",
		"1 while the volume is fuller than `disk` allows and nothing more may be dropped, else 0.", nil, nil)
)

// newQueries makes the histogram of how long reading took, by kind: the action
// of the record that the API makes of it.
func newQueries() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "auditgate_query_duration_seconds",
		Help: "How long requests to the audit API took, by kind.",
	}, []string{"kind"})
}

// collector reads the figures of an engine when they are asked for.
type collector struct{ key string }

// registerMetrics adds the figures of the engine of that key to a registry,
// which is new with every configuration.
func registerMetrics(registry *prometheus.Registry, key string) error {
	err := registry.Register(collector{key})
	if errors.As(err, &prometheus.AlreadyRegisteredError{}) {
		return nil
	}
	return err
}

// Describe implements prometheus.Collector.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{callsDesc, storedDesc, lostDesc, refusedDesc, memoryDesc, bytesDesc, commitDesc, oldestDesc, droppedDesc, overfullDesc} {
		ch <- d
	}
	newQueries().Describe(ch)
}

// Collect implements prometheus.Collector. It does not keep the engine open.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	var e *engine
	engines.Range(func(key, value any) bool {
		if key == c.key {
			e = value.(*engine)
		}
		return e == nil
	})
	if e != nil {
		e.collect(ch)
	}
}

func (e *engine) collect(ch chan<- prometheus.Metric) {
	e.queries.Collect(ch)
	e.pipeline.Refusals(func(source string, n uint64) {
		ch <- prometheus.MustNewConstMetric(refusedDesc, prometheus.CounterValue, float64(n), source)
	})
	s, err := e.current()
	if err != nil {
		return
	}
	stats := s.Stats()
	e.pipeline.Outcomes(func(source string, outcome record.Outcome, n uint64) {
		ch <- prometheus.MustNewConstMetric(callsDesc, prometheus.CounterValue, float64(n), source, string(outcome))
	})
	for reason, n := range stats.Lost {
		ch <- prometheus.MustNewConstMetric(lostDesc, prometheus.CounterValue, float64(n), reason)
	}
	ch <- prometheus.MustNewConstMetric(storedDesc, prometheus.CounterValue, float64(stats.Stored))
	ch <- prometheus.MustNewConstMetric(memoryDesc, prometheus.GaugeValue, float64(e.pipeline.Budget().Used()+stats.Waiting))
	ch <- prometheus.MustNewConstMetric(bytesDesc, prometheus.GaugeValue, float64(stats.Bytes))
	if !stats.Oldest.IsZero() {
		ch <- prometheus.MustNewConstMetric(oldestDesc, prometheus.GaugeValue, float64(stats.Oldest.UnixMilli())/1000)
	}
	for reason, n := range stats.Dropped {
		ch <- prometheus.MustNewConstMetric(droppedDesc, prometheus.CounterValue, float64(n), reason)
	}
	overfull := 0.0
	if stats.Overfull {
		overfull = 1
	}
	ch <- prometheus.MustNewConstMetric(overfullDesc, prometheus.GaugeValue, overfull)
	buckets := make(map[float64]uint64, len(store.CommitBuckets))
	for i, le := range store.CommitBuckets {
		if i < len(stats.Commits.Buckets) {
			buckets[le] = stats.Commits.Buckets[i]
		}
	}
	ch <- prometheus.MustNewConstHistogram(commitDesc, stats.Commits.Count, stats.Commits.Seconds, buckets)
}
