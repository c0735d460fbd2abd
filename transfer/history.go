package transfer

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"sekisho/transfer/manifest"
	"sekisho/transfer/vault"
)

// What may lie between the seals that the vault knows of one key, by counter:
//
//	situation                                  what the gate sees
//	the drive of c comes after that of c+1     c+1 names an unknown statement; c is open until it comes
//	the drive of c is lost for good            the same; c stays open, and was reported once
//	a bag sealed at c, and again at c+1        whichever comes first is the generation, the other a copy of
//	  because its drive was thought lost         it: both are in the chain, neither is open
//	power lost after the counter went to c     c+1 explains c as a gap, and names the statement at c-1
//	the same, but c was sealed on a drive      the same; the drive of c comes first and is accepted, or after
//	                                             and is refused, unless it is a copy
//	another program moved the counter          the next statement explains the values, up to MaxGaps of them
//	a transfer at c was refused                c is open until its drive is set right
//	the kiosk was enrolled again               the chain begins anew: what was before it does not count
//
// A statement that fits none of these does not follow: somebody put back the
// kiosk's disk, or uses its key without it.

// checkHistory compares the statement with what the vault holds of its kiosk and
// key. The vault is the only memory: there is no second record to disagree with
// it. It returns the generation when the vault has this payload already.
func (d *delivery) checkHistory() (*vault.Generation, error) {
	st, enrolled := d.statement, d.by.Kiosk
	key, err := enrolled.PublicKey()
	if err != nil {
		return nil, err
	}
	d.link = link{
		key: key.KeyID(), counter: st.Counter, statement: d.hash(), previous: st.Previous, gaps: st.Gaps,
		resets: d.by.ResetCount, clock: d.by.Clock,
	}
	known, c, err := d.chain()
	if err != nil || d.again {
		return known, err
	}
	unused := slices.IndexFunc(c.links, func(l link) bool { return slices.Contains(l.gaps, st.Counter) })
	switch {
	case known != nil && st.Counter <= enrolled.Counter:
		return known, nil // from before its kiosk was enrolled again
	case st.Counter <= enrolled.Counter:
		return nil, refusef(Replayed, d.id, "its counter %d is before the enrolment's %d", st.Counter, enrolled.Counter)
	case known == nil && unused >= 0:
		return nil, refusef(Replayed, d.id, "generation %s explains counter %d as unused", c.links[unused].generation, st.Counter)
	}
	if err := d.checkResets(c); err != nil {
		return nil, err
	}
	if err := c.fits(d.link); err != nil {
		return nil, refuse(BrokenChain, d.id, err)
	}
	d.gaps = c.open(st)
	return known, nil
}

// chain is what the vault knows of the delivery's key since its enrolment. It
// sets d.again when that very statement was accepted before.
func (d *delivery) chain() (known *vault.Generation, c chain, err error) {
	all, err := d.Vault.Generations()
	if err != nil {
		return nil, c, err
	}
	c.enrolled = d.by.Kiosk.Counter
	for i := range all {
		g := &all[i]
		if g.Kiosk != d.statement.Kiosk {
			continue
		}
		if g.Payload == d.statement.Payload {
			known = g
		}
		links, err := seals(d.Vault, g)
		if err != nil {
			return nil, c, err
		}
		for _, l := range links {
			switch {
			case l.key != d.link.key:
				continue
			case l.counter == d.link.counter && l.statement != d.link.statement: // an alarm, whatever else is true
				return nil, c, refusef(Equivocation, d.id, "the vault has generation %s with another statement at counter %d", g.ID, l.counter)
			case l.counter == d.link.counter:
				d.again = true
			}
			if l.counter > c.enrolled {
				c.links = append(c.links, l)
			}
		}
	}
	slices.SortFunc(c.links, func(a, b link) int { return cmp.Compare(a.counter, b.counter) })
	return known, c, nil
}

// seals are those of a generation and of its copies.
func seals(v *vault.Vault, g *vault.Generation) ([]link, error) {
	links := []link{{g.ID, g.Key, g.Counter, g.Statement, g.Previous, g.Gaps, g.Resets, g.Clock}}
	copies, err := v.Copies(g.ID)
	for _, c := range copies {
		links = append(links, link{g.ID, c.Key, c.Counter, c.Statement, c.Previous, c.Gaps, c.Resets, c.Clock})
	}
	return links, err
}

// remember records a seal of a generation that another seal brought, so that its
// counter value is not missed and the next statement may follow it.
func (d *delivery) remember(g *vault.Generation) error {
	if d.again {
		return nil
	}
	l := d.link
	return d.Vault.AddCopy(g.ID, vault.Copy{Key: l.key, Counter: l.counter, Statement: l.statement, Previous: l.previous, Gaps: l.gaps,
		Resets: l.resets, Clock: l.clock, Time: time.Now().UTC().Truncate(time.Second)})
}

// checkResets holds the TPM's count of resets against the neighbours': it never
// goes back unless the TPM was cleared, or an older state of it put back. Its
// clock may go back after a power cut, and is only noted.
func (d *delivery) checkResets(c chain) error {
	const do = "find out whether the TPM was cleared or an older state of it put back, then enrol the kiosk again"
	resets, at := d.by.Kiosk.ResetCount, "the enrolment"
	if before := c.before(d.link.counter); before != nil {
		resets, at = before.resets, fmt.Sprintf("counter %d", before.counter)
		if d.by.Safe && d.by.Clock < before.clock {
			d.note("the clock of its TPM went back, from %d ms at %s to %d ms, though the TPM says that it did not", before.clock, at, d.by.Clock)
		}
	}
	if d.link.resets < resets {
		return refusef(RolledBack, d.id, "its TPM counts %d resets at counter %d, and counted %d at %s before: %s",
			d.link.resets, d.link.counter, resets, at, do)
	}
	if after := c.after(d.link.counter); after != nil && d.link.resets > after.resets {
		return refusef(RolledBack, d.id, "its TPM counts %d resets at counter %d, and only %d at counter %d after it: %s",
			d.link.resets, d.link.counter, after.resets, after.counter, do)
	}
	return nil
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
