// Package scan answers one question: is this content clean?
//
// Content is read from its source exactly once, into a Blob that cannot change
// any more: a sealed memory file, or for large content an unlinked file
// encrypted under a key that is only in memory. ClamAV and YARA look at that
// blob at the same time, each in processes of its own; hash and packer use the
// same blob, never the source again.
//
// A verdict is Clean only when every engine has said so of the whole content.
// Encrypted, damaged, over a limit, or twice deadly to a worker is Unscannable.
// When an engine cannot be had at all there is no verdict but an error, and the
// caller holds the transfer.
//
// It is not a policy about types or a guard against ransomware, and it knows
// no workflow; Policy only says what follows from verdicts.
package scan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Engine looks at content.
type Engine interface {
	// Name is what the engine's findings carry.
	Name() string
	// Scan returns what it found, each with Verdict set; none means clean.
	// An error means no verdict. Safe for concurrent use.
	Scan(ctx context.Context, b *Blob) ([]Finding, error)
	// Definitions is what the engine knew when it was started.
	Definitions() Definitions
	// Close waits for the scans under way and ends every process.
	Close() error
}

// Config is everything a Scanner is made from.
type Config struct {
	Clamd   ClamdConfig
	Yara    YaraConfig
	Workers int   // blobs scanned at a time; 0: 4
	Builtin fs.FS // the project's own set: clamav/*, yara/any/*.yar, yara/executable/*.yar
	// WorkerCommand starts WorkerMain; empty: this program with "scan-worker".
	WorkerCommand []string
	Log           *slog.Logger // nil: slog.Default()
}

// ClamdConfig says which clamd to use. There is no way to do without: exactly
// one of Private and Sockets must be given.
type ClamdConfig struct {
	Private     bool          // run daemons of our own, in a configuration that is known
	Daemons     int           // private: how many; each loads all definitions; 0: one per CPU, at most 4
	Definitions []string      // private: definitions (.cvd .cld .ndb .hdb …), files or folders of them
	Temporary   string        // private: folder to unpack into, best a tmpfs; empty: the memory folder, or os.TempDir()
	Unpack      int64         // private: bytes one content may unpack to, times Daemons must be free in Temporary; 0: 4000 MiB
	User        string        // private: who they run as when we are root; empty: clamav
	Sockets     []string      // unix sockets of running daemons
	ScanTimeout time.Duration // per content or window; 0: 5 minutes
}

// YaraConfig says which rules to use beside the built-in ones.
type YaraConfig struct {
	Rules   []string      // files, or folders with .yar and .yara files in them
	Timeout time.Duration // per content, and a second more for each 4 MiB; at least a second; 0: 2 minutes
}

// Scanner runs the engines. Safe for concurrent use.
type Scanner struct {
	engines []Engine
	slots   chan struct{}
	close   func() error // once
}

// New starts the engines and has each prove itself. It refuses when one does
// not detect, stays silent about what it cannot see into, or runs a worker
// outside its sandbox.
func New(ctx context.Context, cfg Config) (*Scanner, error) {
	if cfg.Workers == 0 {
		cfg.Workers = 4
	}
	if cfg.Workers < 0 || cfg.Builtin == nil {
		return nil, errors.New("scanner: want a built-in set and a number of workers")
	}
	if len(cfg.WorkerCommand) == 0 {
		cfg.WorkerCommand = []string{"/proc/self/exe", "scan-worker"}
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	s := &Scanner{slots: make(chan struct{}, cfg.Workers)}
	yara, err := newYARA(ctx, cfg.Yara, cfg.Builtin, cfg.Workers, cfg.WorkerCommand, cfg.Log)
	if err != nil {
		return nil, fmt.Errorf("scanner: %w", err)
	}
	clam, err := newClamAV(ctx, cfg.Clamd, cfg.Builtin, cfg.Workers, cfg.Log)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("scanner: %w", err), yara.Close())
	}
	s.engines = []Engine{clam, yara}
	s.close = sync.OnceValue(func() error { return errors.Join(clam.Close(), yara.Close()) })
	return s, nil
}

// Scan asks all engines at the same time and returns their common verdict. On
// error (ErrEngine, or that of ctx) the result is zero: Unscannable, and to be
// held, not left out.
func (s *Scanner) Scan(ctx context.Context, b *Blob) (Result, error) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
	found := make([][]Finding, len(s.engines))
	var g errgroup.Group // an engine that fails does not disturb the other
	for i, e := range s.engines {
		g.Go(func() (err error) {
			if found[i], err = e.Scan(ctx, b); err != nil {
				return fmt.Errorf("scanning with %s: %w", e.Name(), err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return Result{}, err
	}
	var all []Finding
	for _, f := range found {
		all = append(all, f...)
	}
	return resultOf(all), nil
}

// Definitions lists what each engine knew when it was started.
func (s *Scanner) Definitions() []Definitions {
	var d []Definitions
	for _, e := range s.engines {
		d = append(d, e.Definitions())
	}
	return d
}

// Demonstration reports whether ClamAV, which carries most of the knowledge,
// has nothing but the built-in set: good for a trial, not for patients' data.
func (s *Scanner) Demonstration() bool { return s.engines[0].Definitions().Demonstration }

// Close waits for the scans under way and ends every process. Closing again
// returns the same.
func (s *Scanner) Close() error { return s.close() }
