package approval

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"sekisho/transfer/measure"
)

// Difference is one register that is not as approved.
type Difference struct {
	Register int
	Class    measure.Class
	Files    []measure.Change // of the software register; none when either side has no list
}

// Verdict is what Judge found.
type Verdict struct {
	Approved bool
	// Approval is the one that approves the state; or the closest, which has the
	// fewest differences; nil when there is none for this kiosk.
	Approval    *Approval
	Standing    Standing     // of Approval
	Differences []Difference // from Approval, by ascending register
}

// Judge says whether one of the approvals, which Open returned, approves the
// state at this time. Only values count: neither registers that an approval does
// not cover, nor approvals for other kiosks, nor the state's list of events,
// which only tells what changed, nor what kind of TPM it is.
func Judge(state State, approvals []*Approval, now time.Time) Verdict {
	var best Verdict
	for _, a := range approvals {
		// One that covers nothing would approve everything.
		if a.Kiosk != state.Kiosk || a.Registers.check(a.Software) != nil {
			continue
		}
		v := Verdict{Approval: a, Standing: a.Standing(now), Differences: differences(state, a)}
		if best.Approval == nil || closer(v, best) < 0 {
			best = v
		}
	}
	best.Approved = best.Approval != nil && best.Standing == Holds && len(best.Differences) == 0
	return best
}

// closer orders verdicts; of equals the one that lasts longest comes first.
func closer(v, w Verdict) int {
	return cmp.Or(
		cmp.Compare(len(v.Differences), len(w.Differences)),
		cmp.Compare(v.Standing, w.Standing),
		lasting(w.Approval).Compare(lasting(v.Approval)),
		strings.Compare(v.Approval.ID(), w.Approval.ID()),
	)
}

func lasting(a *Approval) time.Time {
	if a.Until.IsZero() {
		return time.Unix(1<<40, 0) // longer than any
	}
	return a.Until
}

func differences(state State, a *Approval) []Difference {
	var all []Difference
	for _, i := range slices.Sorted(maps.Keys(a.Registers)) {
		if value, ok := state.Registers[i]; ok && value == a.Registers[i] {
			continue
		}
		d := Difference{Register: i, Class: measure.ClassOf(i, state.Software)}
		if i == state.Software && i == a.Software && known(state.Events) && known(a.Events) {
			d.Files = measure.Compare(a.Events, state.Events)
		}
		all = append(all, d)
	}
	return all
}

func known(l *measure.List) bool { return l != nil && len(l.Events) > 0 }
