package seal

import (
	"testing"

	"sekisho/transfer/measure"
)

// The forms side by side: the bound one needs a policy session for each of its
// three signatures.
func BenchmarkSeal(b *testing.B) {
	tpm := openIn(b, newFolder(b))
	payload := make([]byte, 4<<10)
	seal := func(b *testing.B, k *Key) {
		for b.Loop() {
			if _, err := k.Seal(testType, payload); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("plain", func(b *testing.B) { seal(b, newKey(b, tpm)) })
	b.Run("bound", func(b *testing.B) {
		k := newBound(b, tpm)
		k.Authorized([]Authorization{k.authorize(b)})
		if err := k.Provision(); err != nil {
			b.Fatal(err)
		}
		seal(b, k.Key)
	})
}

func BenchmarkIncrement(b *testing.B) {
	k := newKey(b, openIn(b, newFolder(b)))
	for b.Loop() {
		if _, err := k.Increment(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	open := func(b *testing.B, envelope []byte, ev Evidence, kiosk *Kiosk) {
		for b.Loop() {
			if _, _, err := Open(testType, envelope, ev, []*Kiosk{kiosk}); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("plain", func(b *testing.B) {
		envelope, ev, kiosk := recordedSeal(b)
		open(b, envelope, ev, kiosk)
	})
	b.Run("bound", func(b *testing.B) { // with as many events as there may be
		k := newBound(b, openIn(b, newFolder(b)))
		if err := k.tpm.Measure(someList(measure.MaxEvents)); err != nil {
			b.Fatal(err)
		}
		k.Authorized([]Authorization{k.authorize(b)})
		if err := k.Provision(); err != nil {
			b.Fatal(err)
		}
		s := newSeal(b, k.Key, firstPayload)
		open(b, s.Envelope, s.Evidence, enrol(b, k.Key, "k1"))
	})
}
