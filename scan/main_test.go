package scan

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"os"
	"testing"

	"sekisho/assets"
)

// The test binary is its own worker, as the programs are.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "scan-worker" {
		os.Exit(WorkerMain())
	}
	if len(os.Args) > 1 && os.Args[1] == "scan-escape" {
		os.Exit(escapeMain(os.Args[2]))
	}
	if len(os.Args) > 1 && os.Args[1] == "scan-abandon" {
		abandonMain()
	}
	os.Exit(m.Run())
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func newTestSpool(t testing.TB, o SpoolOptions) *Spool {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := NewSpool(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func blobFrom(t testing.TB, s *Spool, size int64, src io.Reader) *Blob {
	t.Helper()
	room, err := s.Reserve(context.Background(), size)
	if err != nil {
		t.Fatal(err)
	}
	b, err := room.Fill(src)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func blobOf(t testing.TB, s *Spool, data []byte) *Blob {
	t.Helper()
	return blobFrom(t, s, int64(len(data)), bytes.NewReader(data))
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func newTestScanner(t testing.TB, change func(*Config)) *Scanner {
	t.Helper()
	cfg := Config{Clamd: ClamdConfig{Private: true, Daemons: 2}, Workers: 2, Builtin: assets.Rules, Log: quiet()}
	if change != nil {
		change(&cfg)
	}
	s, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
