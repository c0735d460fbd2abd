package transfer_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"sekisho/transfer"
	"sekisho/transfer/manifest"
)

// Two nights of the generator's export, all the way and back, on the drive that
// goes to and fro.
func TestTwoNights(t *testing.T) {
	k := newKiosk(t, "k1")
	k.partSize = 4 << 20
	g := newGate(t, k)
	mkexport := filepath.Join(t.TempDir(), "mkexport")
	if out, err := exec.Command("go", "build", "-o", mkexport, "sekisho/build/mkexport").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	src, drive := scratch(t), scratch(t)
	for _, number := range []string{"1", "2"} {
		if out, err := exec.Command(mkexport, "-profile", "smoke", "-seed", "1", "-night", number, src).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if _, _, err := transfer.Settle(k.settling(t, drive)); err != nil {
			t.Fatal(err)
		}
		bag := k.send(t, src, drive)
		if bag.Statement.Partial || bag.Statement.Count(manifest.Clean).Files < 2000 {
			t.Errorf("night %s counts %+v", number, bag.Statement.Counts)
		}
		if entries, err := os.ReadDir(filepath.Join(drive, manifest.Transfers)); err != nil || len(entries) != 1 {
			t.Errorf("night %s: %d transfers are on the drive, %v", number, len(entries), err)
		}
		o := g.accept(t, drive)
		if len(o) != 1 || len(o[0].Gaps) > 0 {
			t.Fatalf("night %s: the gate took %+v", number, o)
		}
		sameTree(t, tree(t, g.restore(t, o[0].Generation)), tree(t, src))
	}
}
