package script

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"sekisho/transfer"
	"sekisho/transfer/manifest"
)

// kinds are the forms of -json, written down anew: a change of the programs'
// own types must not go unseen.
var kinds = map[string]func(line string) (last bool, err error){
	"transfer":    transferLine,
	"generations": strict[generation],
	"outbox":      strict[bag],
	"records":     strict[record],
	"verified":    strict[verified],
	"state":       strict[measured],
	"approvals":   strict[approved],
}

type finding struct {
	Engine string  `json:"engine"`
	Name   string  `json:"name"`
	Where  *string `json:"where"`
}

type file struct {
	File     *string    `json:"file"`
	Verdict  string     `json:"verdict"`
	Findings *[]finding `json:"findings"`
}

type result struct {
	Result   string  `json:"result"`
	Reason   *string `json:"reason"`
	Transfer *string `json:"transfer"`
}

type generation struct {
	Generation string    `json:"generation"`
	Transfer   string    `json:"transfer"`
	Kiosk      string    `json:"kiosk"`
	Workflow   int       `json:"workflow"`
	Files      int64     `json:"files"`
	Bytes      int64     `json:"bytes"`
	Partial    *bool     `json:"partial"`
	Scanned    *bool     `json:"scanned"`
	DataAsOf   time.Time `json:"dataAsOf"`
	Time       time.Time `json:"time"`
}

type bag struct {
	Transfer string    `json:"transfer"`
	Workflow string    `json:"workflow"`
	State    string    `json:"state"`
	Reason   *string   `json:"reason"`
	Files    int64     `json:"files"`
	Bytes    int64     `json:"bytes"`
	Prepared time.Time `json:"prepared"`
	Written  []struct {
		Counter uint64    `json:"counter"`
		Drive   string    `json:"drive"`
		Staff   *string   `json:"staff"`
		Time    time.Time `json:"time"`
	} `json:"written"`
}

type record struct {
	Number   *int64            `json:"number"`
	Time     time.Time         `json:"time"`
	Event    string            `json:"event"`
	By       *string           `json:"by"`
	Transfer *string           `json:"transfer"`
	Result   *string           `json:"result"`
	Reason   *string           `json:"reason"`
	Facts    map[string]string `json:"facts"`
}

type verified struct {
	Records *int64  `json:"records"`
	Root    *string `json:"root"`
	Fault   *string `json:"fault"`
	First   *int64  `json:"first"`
	Detail  *string `json:"detail"`
}

type measured struct {
	State    string            `json:"state"`
	Approved *bool             `json:"approved"`
	Approval *string           `json:"approval"`
	Measured map[string]string `json:"measured"`
}

type approved struct {
	Approval *string    `json:"approval"`
	State    *string    `json:"state"`
	Proof    *string    `json:"proof"`
	Kiosk    string     `json:"kiosk"`
	Standing string     `json:"standing"`
	Until    *time.Time `json:"until"`
}

func strict[T any](line string) (bool, error) { return true, decode(line, new(T)) }

func decode(line string, v any) error {
	dec := json.NewDecoder(strings.NewReader(line))
	dec.DisallowUnknownFields()
	return dec.Decode(v)
}

// transferLine takes the lines of a transfer: one for each file, and results, of
// which one is the last line.
func transferLine(line string) (last bool, err error) {
	if strings.HasPrefix(line, `{"file":`) {
		var f file
		if err := decode(line, &f); err != nil {
			return false, err
		}
		if f.File == nil || f.Findings == nil || !slices.Contains(manifest.Verdicts, f.Verdict) || (f.Verdict == manifest.Clean) != (len(*f.Findings) == 0) {
			return false, fmt.Errorf("%+v", f)
		}
		for _, x := range *f.Findings {
			if x.Engine == "" || x.Name == "" {
				return false, fmt.Errorf("%+v", x)
			}
		}
		return false, nil
	}
	var r result
	if err := decode(line, &r); err != nil {
		return false, err
	}
	if !slices.Contains([]string{"sealed", "partial", "held", "accepted", "refused", "trouble"}, r.Result) ||
		r.Reason != nil && !slices.Contains(transfer.Reasons, transfer.Reason(*r.Reason)) ||
		r.Transfer != nil && !manifest.ValidID(*r.Transfer) {
		return false, fmt.Errorf("%+v", r)
	}
	return true, nil
}

func contract(ts *testscript.TestScript, args []string) {
	check := kinds[args[0]]
	text := ts.ReadFile("stdout")
	if check == nil || !strings.HasSuffix(text, "\n") {
		ts.Fatalf("no kind %q, or no whole line", args[0])
	}
	last := false
	for line := range strings.Lines(text) {
		var err error
		if last, err = check(line); err != nil {
			ts.Fatalf("%q: %v", line, err)
		}
	}
	if !last {
		ts.Fatalf("the last line is no result")
	}
}
