package score

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"text/tabwriter"

	"github.com/sennit-io/sennit/schemas/timeline"
)

// Report holds the figures that the package comment defines. Rates are between
// 0 and 1, rounded to six decimals.
type Report struct {
	Exact       Class            `json:"exact"`
	Inferred    Class            `json:"inferred"`
	ByMethod    map[string]Class `json:"by_method"`
	ByKind      map[string]Class `json:"by_kind"` // of fact
	MisStitch   float64          `json:"mis_stitch"`
	Orphan      float64          `json:"orphan"`
	Ambiguous   float64          `json:"ambiguous"`
	ECE         float64          `json:"ece"`
	Calibration []Bin            `json:"calibration"`

	Requests   int `json:"requests"`
	Fragmented int `json:"fragmented"` // requests in several timelines
	Timelines  int `json:"timelines"`
	Steps      int `json:"steps"`
	Facts      int `json:"facts"` // of requests, their records written
	Joinable   int `json:"joinable"`
	Background int `json:"background"` // facts of no request
	Lost       int `json:"lost"`

	Right       int `json:"right"` // facts, as the four below
	Fragments   int `json:"fragments"`
	MisStitched int `json:"mis_stitched"`
	Orphans     int `json:"orphans"`
	Ambiguities int `json:"ambiguities"`

	DuplicateSteps     int `json:"duplicate_steps"`
	DuplicateTimelines int `json:"duplicate_timelines"`
}

// Class is how well one sort of join did.
type Class struct {
	Precision float64 `json:"precision"` // Right / N
	Recall    float64 `json:"recall"`    // Found / Possible
	N         int     `json:"n"`         // steps joined so
	Right     int     `json:"right"`
	Possible  int     `json:"possible"` // facts that could be
	Found     int     `json:"found"`    // of these, facts that are right
}

// Bin is a tenth of the inferred steps, by confidence.
type Bin struct {
	Confidence float64 `json:"confidence"`
	Accuracy   float64 `json:"accuracy"`
	N          int     `json:"n"`
}

func (c *Class) finish() {
	c.Precision, c.Recall = 1, 1
	if c.N > 0 {
		c.Precision = rate(c.Right, c.N)
	}
	if c.Possible > 0 {
		c.Recall = rate(c.Found, c.Possible)
	}
}

func rate(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return round(float64(n) / float64(of))
}

// round keeps six decimals, but never turns almost all into all.
func round(v float64) float64 {
	if v < 1 && v > 0.999999 {
		return 0.999999
	}
	return math.Round(v*1e6) / 1e6
}

// JSON returns the report as one line of JSON with a final newline.
func (r *Report) JSON() ([]byte, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("render score: %w", err)
	}
	return append(b, '\n'), nil
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(tw, "joins\tprecision\tsteps\trecall\tpossible\t\n")
	row := func(name string, c Class) {
		if c.N == 0 && c.Possible == 0 {
			return
		}
		fmt.Fprintf(tw, "%s\t%s\t%d\t%s\t%d\t\n", name, percent(c.Precision, c.N), c.N, percent(c.Recall, c.Possible), c.Possible)
	}
	row("exact", r.Exact)
	for _, m := range timeline.ExactMethods {
		row(m, r.ByMethod[m])
	}
	row("inferred", r.Inferred)
	for _, m := range timeline.InferredMethods {
		row(m, r.ByMethod[m])
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("write score: %w", err)
	}
	_, err := fmt.Fprintf(w, `
mis-stitched  %s  %d of %d facts of %d requests (%d more facts are background)
orphaned      %s  %d of %d that could be joined
ambiguous     %s  %d
fragmented    %d requests in more than one timeline (%d facts apart from their entry)
duplicates    %d steps, %d timelines
timelines     %d with %d steps; the records of %d facts were lost
`,
		percent(r.MisStitch, r.Facts), r.MisStitched, r.Facts, r.Requests, r.Background,
		percent(r.Orphan, r.Joinable), r.Orphans, r.Joinable,
		percent(r.Ambiguous, r.Joinable), r.Ambiguities,
		r.Fragmented, r.Fragments, r.DuplicateSteps, r.DuplicateTimelines, r.Timelines, r.Steps, r.Lost)
	if err == nil && len(r.Calibration) > 0 {
		_, err = fmt.Fprintf(w, "calibration   error %.3f over %d inferred steps\n", r.ECE, r.Inferred.N)
		for _, b := range r.Calibration {
			if err == nil {
				_, err = fmt.Fprintf(w, "  confidence %.3f  right %.3f  n %d\n", b.Confidence, b.Accuracy, b.N)
			}
		}
	}
	if err != nil {
		return fmt.Errorf("write score: %w", err)
	}
	return nil
}

// percent renders a rate, or a dash where there was nothing to count.
func percent(v float64, n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%.3f %%", 100*v)
}
