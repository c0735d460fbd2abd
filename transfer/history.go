package transfer

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"sekisho/transfer/manifest"
	"sekisho/transfer/vault"
)

// checkHistory compares the statement with what the vault holds of its kiosk.
// The vault is the only memory: there is no second record to disagree with it.
// It returns the generation when the vault has this payload already.
func (d *delivery) checkHistory() (*vault.Generation, error) {
	all, err := d.Vault.Generations()
	if err != nil {
		return nil, err
	}
	st := d.statement
	taken := make(map[uint64]bool) // counter values with a transfer, or without one for good
	var last uint64
	for _, k := range d.Kiosks {
		if k.Name == st.Kiosk {
			last = k.Counter
		}
	}
	first := last
	var known, unused *vault.Generation
	for i := range all {
		g := &all[i]
		if g.Kiosk != st.Kiosk {
			continue
		}
		switch {
		case g.Payload == st.Payload:
			known = g
		case g.Counter == st.Counter: // an alarm, whatever else is true
			return nil, refusef(Equivocation, d.id, "the vault has generation %s with another content at counter %d", g.ID, g.Counter)
		case slices.Contains(g.Gaps, st.Counter):
			unused = g
		}
		taken[g.Counter] = true
		for _, c := range g.Gaps {
			taken[c] = true
		}
		last = max(last, g.Counter)
	}
	switch {
	case known != nil:
		return known, nil
	case unused != nil:
		return nil, refusef(Replayed, d.id, "generation %s explains counter %d as unused", unused.ID, st.Counter)
	case st.Counter <= first:
		return nil, refusef(Replayed, d.id, "its counter %d is before the enrolment's %d", st.Counter, first)
	}
	for _, c := range st.Gaps {
		taken[c] = true
	}
	for c := last + 1; c < st.Counter && len(d.gaps) < manifest.MaxGaps; c++ {
		if !taken[c] {
			d.gaps = append(d.gaps, c)
		}
	}
	return nil, nil
}

// intact checks every byte of the generation against the statement that this
// delivery shares with it.
func (d *delivery) intact(g *vault.Generation) error {
	bag := d.Vault.Bag(g.ID)
	parts, err := checkTags(bag, d.statement)
	if err != nil {
		return err
	}
	for i, sum := range parts {
		if err := checkFile(filepath.Join(bag, manifest.PartName(i+1)), d.statement.Sizes.Parts[i], sum); err != nil {
			return err
		}
	}
	return nil
}

func gapsText(gaps []uint64) string {
	var b strings.Builder
	for i, g := range gaps {
		if i == 8 {
			fmt.Fprintf(&b, " and %d more", len(gaps)-i)
			break
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strconv.FormatUint(g, 10))
	}
	return b.String()
}
