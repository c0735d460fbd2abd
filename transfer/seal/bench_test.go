package seal

import "testing"

func BenchmarkSeal(b *testing.B) {
	k := newKey(b, openIn(b, newFolder(b)))
	payload := make([]byte, 4<<10)
	for b.Loop() {
		if _, err := k.Seal(testType, payload); err != nil {
			b.Fatal(err)
		}
	}
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
	envelope, ev, kiosk := recordedSeal(b)
	for b.Loop() {
		if _, _, err := Open(testType, envelope, ev, []*Kiosk{kiosk}); err != nil {
			b.Fatal(err)
		}
	}
}
