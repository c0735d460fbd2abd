package transfer_test

import (
	"testing"
)

func TestNight(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	stick := t.TempDir()
	bag := k.send(t, night(t, "first"), stick)
	t.Log(len(bag.Statement.Sizes.Parts), "parts")
	o := g.accept(t, stick)
	if len(o) != 1 || o[0].Generation != bag.ID() {
		t.Fatal(o)
	}
	g.restore(t, bag.ID())
	if a := k.settle(t, stick); len(a) != 1 || !a[0].Bag.Settled {
		t.Error(a)
	}
}
