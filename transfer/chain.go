package transfer

import (
	"fmt"
	"slices"

	"sekisho/transfer/manifest"
)

// link is one seal in its kiosk's chain of seals.
type link struct {
	generation string // that it brought, or is a copy of
	key        string
	counter    uint64
	statement  manifest.Hash
	previous   *manifest.Hash // the statement sealed before it
	gaps       []uint64       // counter values since that one without a statement
	resets     uint32
	clock      uint64
}

// chain is what is known of one key's seals since its enrolment, by counter.
type chain struct {
	enrolled uint64 // counter
	links    []link
}

// before is the last known seal below a counter value, nil when there is none.
func (c chain) before(counter uint64) *link {
	i := c.at(counter)
	if i == 0 {
		return nil
	}
	return &c.links[i-1]
}

// after is the first known seal above a counter value that has none itself, nil
// when there is none.
func (c chain) after(counter uint64) *link {
	i := c.at(counter)
	if i == len(c.links) {
		return nil
	}
	return &c.links[i]
}

func (c chain) at(counter uint64) int {
	i, _ := slices.BinarySearchFunc(c.links, counter, func(l link, n uint64) int {
		if l.counter < n {
			return -1
		}
		return 1
	})
	return i
}

// fits says whether the chain still holds with l in it. A break that was there
// without l is not held against l.
func (c chain) fits(l link) error {
	with := chain{c.enrolled, slices.Insert(slices.Clone(c.links), c.at(l.counter), l)}
	if err := with.follows(l); err != nil {
		return err
	}
	for _, later := range c.links[c.at(l.counter):] {
		if err := with.follows(later); err != nil && c.follows(later) == nil {
			return fmt.Errorf("the statement at counter %d, which the vault has, does not follow it: %w", later.counter, err)
		}
	}
	return nil
}

// follows says whether l can be what the kiosk sealed next: right after the last
// known seal below it that it does not explain away, or after one that may still
// come.
func (c chain) follows(l link) error {
	from := c.enrolled
	before := c.before(l.counter)
	for before != nil && slices.Contains(l.gaps, before.counter) {
		before = c.before(before.counter)
	}
	if before != nil {
		from = before.counter
	}
	open := l.counter - from - 1 // between the two, and not explained
	for _, gap := range l.gaps {
		if gap > from {
			open--
		}
	}
	switch {
	case l.previous == nil && before != nil:
		return fmt.Errorf("it names no statement before it, and the vault has one at counter %d", before.counter)
	case l.previous == nil:
		return nil
	case before != nil && *l.previous == before.statement:
		if open > 0 && len(l.gaps) < manifest.MaxGaps {
			return fmt.Errorf("it follows the statement at counter %d and does not explain all values between", before.counter)
		}
		return nil
	}
	if i := slices.IndexFunc(c.links, func(k link) bool { return k.statement == *l.previous }); i >= 0 {
		return fmt.Errorf("the statement before it should be that at counter %d, and it names that at counter %d", from, c.links[i].counter)
	}
	if before != nil && open == 0 {
		return fmt.Errorf("the statement before it is %s at counter %d, and it names %s", before.statement, before.counter, l.previous)
	}
	return nil // it was sealed before the enrolment, or is still to come
}

// open lists the counter values between the last known seal and the statement
// that no seal and no gap accounts for, at most MaxGaps.
func (c chain) open(st *manifest.Statement) (open []uint64) {
	taken := make(map[uint64]bool) // with a seal, or without one for good
	last := c.enrolled
	for _, l := range c.links {
		taken[l.counter] = true
		for _, gap := range l.gaps {
			taken[gap] = true
		}
		last = max(last, l.counter)
	}
	for _, gap := range st.Gaps {
		taken[gap] = true
	}
	for n := last + 1; n < st.Counter && len(open) < manifest.MaxGaps; n++ {
		if !taken[n] {
			open = append(open, n)
		}
	}
	return open
}
