// Command fill makes one TSDB block of the samples that it reads, one JSON object a line, from its standard input.
//
//	fill [-start-timestamps] FOLDER
//
// A line is one sample of one series; a series' samples come in the order of their time:
//
//	{"labels": {"__name__": "requests_total", "job": "shop"}, "at_ms": 1760000400000, "value": "42"}
//	{"labels": {...}, "at_ms": ..., "start_ms": ..., "histogram": {"schema": 3, "zero_threshold": 1e-9,
//	  "zero_count": 2, "positive": {"1": 5, "2": 7}, "negative": {}, "sum": "12.5"}}
//	{"labels": {...}, "at_ms": ..., "histogram": {"schema": -53, "bounds": [0.1, 0.5],
//	  "positive": {"0": 5, "2": 1}, "sum": "3.5"}}
//
// A value is text, so that it can be NaN, +Inf or -Inf; "stale", also as the sum of a histogram, marks the end of a
// series. The count of a histogram is the sum of its buckets. With -start-timestamps, "start_ms" is stored beside each
// sample: when its series began to count.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"slices"
	"strconv"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// A head takes samples of the newer half of its range only. Two centuries let any two samples of a test meet in one.
const rangeMs = 200 * 365 * 24 * 3600 * 1000

const samplesPerCommit = 5000

type sample struct {
	Labels    map[string]string `json:"labels"`
	AtMs      int64             `json:"at_ms"`
	StartMs   int64             `json:"start_ms"`
	Value     string            `json:"value"`
	Histogram *native           `json:"histogram"`
}

type native struct {
	Schema        int32            `json:"schema"`
	ZeroThreshold float64          `json:"zero_threshold"`
	ZeroCount     uint64           `json:"zero_count"`
	Positive      map[int32]uint64 `json:"positive"`
	Negative      map[int32]uint64 `json:"negative"`
	Bounds        []float64        `json:"bounds"`
	Sum           string           `json:"sum"`
	IsGauge       bool             `json:"is_gauge"`
}

func main() {
	keepsStarts := flag.Bool("start-timestamps", false, "store when each series began to count")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "fill: name one folder for the block, and give the samples on the standard input")
		os.Exit(2)
	}
	if err := fill(os.Stdin, flag.Arg(0), *keepsStarts); err != nil {
		fmt.Fprintln(os.Stderr, "fill:", err)
		os.Exit(1)
	}
}

func fill(in io.Reader, folder string, keepsStarts bool) (failed error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp(folder, "head")
	if err != nil {
		return err
	}
	defer func() { failed = errors.Join(failed, os.RemoveAll(scratch)) }()
	head, err := newHead(scratch, keepsStarts)
	if err != nil {
		return err
	}
	defer func() { failed = errors.Join(failed, head.Close()) }()
	if err := appendAll(head, in); err != nil {
		return err
	}
	return writeBlock(head, folder)
}

func newHead(scratch string, keepsStarts bool) (*tsdb.Head, error) {
	options := tsdb.DefaultHeadOptions()
	options.ChunkRange = rangeMs
	options.ChunkDirRoot = scratch
	if keepsStarts {
		options.EnableSTStorage.Store(true)
		options.EnableHistogramSTEncoding.Store(true)
		options.FloatChunkEncoding.Store(uint32(chunkenc.EncXOR2))
	}
	head, err := tsdb.NewHead(nil, quiet(), nil, nil, options, tsdb.NewHeadStats())
	if err != nil {
		return nil, err
	}
	return head, head.Init(math.MinInt64)
}

func appendAll(head *tsdb.Head, in io.Reader) error {
	lines := json.NewDecoder(bufio.NewReader(in))
	lines.DisallowUnknownFields()
	appender := head.AppenderV2(context.Background())
	for number := 1; ; number++ {
		var one sample
		err := lines.Decode(&one)
		if errors.Is(err, io.EOF) {
			return appender.Commit()
		}
		if err == nil {
			err = one.appendTo(appender)
		}
		if err != nil {
			return fmt.Errorf("sample %d: %w", number, err)
		}
		if number%samplesPerCommit == 0 {
			if err := appender.Commit(); err != nil {
				return err
			}
			appender = head.AppenderV2(context.Background())
		}
	}
}

func (s sample) appendTo(appender storage.AppenderV2) error {
	number, err := s.number()
	if err != nil {
		return err
	}
	made, err := s.Histogram.made()
	if err != nil {
		return err
	}
	_, err = appender.Append(0, labels.FromMap(s.Labels), s.StartMs, s.AtMs, number, made, nil, storage.AOptions{})
	return err
}

func (s sample) number() (float64, error) {
	if s.Histogram != nil {
		return 0, nil
	}
	return parsed(s.Value)
}

func parsed(text string) (float64, error) {
	if text == "stale" {
		return math.Float64frombits(value.StaleNaN), nil
	}
	return strconv.ParseFloat(text, 64)
}

func (n *native) made() (*histogram.Histogram, error) {
	if n == nil {
		return nil, nil
	}
	sum, err := parsed(n.Sum)
	if err != nil {
		return nil, err
	}
	made := &histogram.Histogram{
		Schema:        n.Schema,
		ZeroThreshold: n.ZeroThreshold,
		ZeroCount:     n.ZeroCount,
		Count:         n.ZeroCount,
		Sum:           sum,
		CustomValues:  n.Bounds,
	}
	if n.IsGauge {
		made.CounterResetHint = histogram.GaugeType
	}
	made.PositiveSpans, made.PositiveBuckets = spans(n.Positive, &made.Count)
	made.NegativeSpans, made.NegativeBuckets = spans(n.Negative, &made.Count)
	return made, made.Validate()
}

// spans writes counts by bucket index as runs of neighbours, each count as its difference from the one before.
func spans(counts map[int32]uint64, total *uint64) (runs []histogram.Span, differences []int64) {
	indices := make([]int32, 0, len(counts))
	for index := range counts {
		indices = append(indices, index)
	}
	slices.Sort(indices)
	next, before := int32(0), int64(0)
	for _, index := range indices {
		if len(runs) == 0 || index != next {
			runs = append(runs, histogram.Span{Offset: index - next})
		}
		runs[len(runs)-1].Length++
		count := counts[index]
		differences = append(differences, int64(count)-before)
		next, before = index+1, int64(count)
		*total += count
	}
	return runs, differences
}

func writeBlock(head *tsdb.Head, folder string) error {
	if head.NumSeries() == 0 {
		return nil
	}
	pool := chunkenc.NewPool()
	compactor, err := tsdb.NewLeveledCompactor(context.Background(), nil, quiet(), []int64{rangeMs}, pool, nil)
	if err != nil {
		return err
	}
	// A block's end is not part of it.
	_, err = compactor.Write(folder, head, head.MinTime(), head.MaxTime()+1, nil)
	return err
}

func quiet() *slog.Logger {
	return slog.New(slog.DiscardHandler)
}
