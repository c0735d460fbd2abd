package measure

import "fmt"

// Kind is what happened to one file between two lists.
type Kind string

// The kinds of change.
const (
	Added   Kind = "added"
	Removed Kind = "removed"
	Changed Kind = "changed"
	Moved   Kind = "moved" // measured at another place in the order
)

// Change is one difference between two lists.
type Change struct {
	Name    string // as measured, not quoted
	Was, Is Digest // zero where there was, or is, none
	Kind    Kind
}

// String says it in plain English, with the beginnings of the digests.
func (c Change) String() string {
	switch c.Kind {
	case Added:
		return fmt.Sprintf("%q is new (%.12s)", c.Name, c.Is)
	case Removed:
		return fmt.Sprintf("%q is no longer measured (was %.12s)", c.Name, c.Was)
	case Moved:
		return fmt.Sprintf("%q is measured at another place in the order", c.Name)
	}
	return fmt.Sprintf("%q has changed (was %.12s, is %.12s)", c.Name, c.Was, c.Is)
}

// Compare lists what differs, in the order of is and then what was removed, in
// the order of was. It is empty exactly when both lists have the same events in
// the same order and so the same Replay. Of files that only changed places as
// few as possible are named; a file may be both changed and moved. Which
// registers the lists are for is not compared.
func Compare(was, is *List) []Change {
	before := make(map[string]int, len(was.Events))
	for i, e := range was.Events {
		before[e.Name] = i
	}
	var common []int // places in was, in the order of is
	present := make(map[string]bool, len(is.Events))
	for _, e := range is.Events {
		present[e.Name] = true
		if i, ok := before[e.Name]; ok {
			common = append(common, i)
		}
	}
	stayed := rising(common)

	var changes []Change
	for _, e := range is.Events {
		i, ok := before[e.Name]
		if !ok {
			changes = append(changes, Change{Name: e.Name, Is: e.SHA256, Kind: Added})
			continue
		}
		c := Change{Name: e.Name, Was: was.Events[i].SHA256, Is: e.SHA256}
		if c.Was != c.Is {
			c.Kind = Changed
			changes = append(changes, c)
		}
		if !stayed[i] {
			c.Kind = Moved
			changes = append(changes, c)
		}
	}
	for _, e := range was.Events {
		if !present[e.Name] {
			changes = append(changes, Change{Name: e.Name, Was: e.SHA256, Kind: Removed})
		}
	}
	return changes
}

// rising picks a longest subsequence of ascending numbers. Lists are short.
func rising(numbers []int) map[int]bool {
	longest, previous := make([]int, len(numbers)), make([]int, len(numbers))
	end := -1
	for i, n := range numbers {
		longest[i], previous[i] = 1, -1
		for j := range i {
			if numbers[j] < n && longest[j]+1 > longest[i] {
				longest[i], previous[i] = longest[j]+1, j
			}
		}
		if end < 0 || longest[i] > longest[end] {
			end = i
		}
	}
	picked := make(map[int]bool)
	for ; end >= 0; end = previous[end] {
		picked[numbers[end]] = true
	}
	return picked
}
