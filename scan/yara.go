//go:build cgo

package scan

// #include <yara/libyara.h>
import "C"

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hillu/go-yara/v4"
)

// libraryVersion is of the libyara this program was built with; go-yara does
// not tell it.
const libraryVersion = "libyara " + C.YR_VERSION

// scanFlags: one match per string is enough, and no signal handlers: content
// is sealed, so it cannot fault (SCAN_FLAGS_NO_TRYCATCH, not exported).
const scanFlags = yara.ScanFlagsFastMode | 4

// errTimeout is libyara's ERROR_SCAN_TIMEOUT.
const errTimeout = yara.Error(26)

// compiledRules are rules ready for use by one goroutine.
type compiledRules struct {
	any        *yara.Scanner // nil without such rules
	executable *yara.Scanner // nil without such rules
}

// compileRules refuses includes, which would open files, and rules with
// errors. Variables that public rule sets expect are defined, but empty: a
// blob has no name.
func compileRules(rules []rule) (*compiledRules, error) {
	var c compiledRules
	for _, set := range []struct {
		executable bool
		scanner    **yara.Scanner
	}{{false, &c.any}, {true, &c.executable}} {
		chosen := slices.DeleteFunc(slices.Clone(rules), func(r rule) bool { return r.Executable != set.executable })
		if len(chosen) == 0 {
			continue
		}
		s, err := compileSet(chosen)
		if err != nil {
			return nil, err
		}
		*set.scanner = s
	}
	if c.any == nil && c.executable == nil {
		return nil, errors.New("yara: no rules")
	}
	return &c, nil
}

func compileSet(rules []rule) (*yara.Scanner, error) {
	compiler, err := yara.NewCompiler()
	if err != nil {
		return nil, fmt.Errorf("yara: %w", err)
	}
	defer compiler.Destroy()
	compiler.DisableIncludes()
	for _, name := range []string{"filename", "filepath", "extension", "filetype", "owner"} {
		if err := compiler.DefineVariable(name, ""); err != nil {
			return nil, fmt.Errorf("yara: %w", err)
		}
	}
	for _, r := range rules {
		if err := compiler.AddString(r.Text, r.Namespace); err != nil {
			if len(compiler.Errors) > 0 {
				err = fmt.Errorf("line %d: %s", compiler.Errors[0].Line, compiler.Errors[0].Text)
			}
			return nil, fmt.Errorf("yara: rules %q: %w", r.Namespace, err)
		}
	}
	compiled, err := compiler.GetRules()
	if err != nil {
		return nil, fmt.Errorf("yara: %w", err)
	}
	s, err := yara.NewScanner(compiled)
	if err != nil {
		return nil, fmt.Errorf("yara: %w", err)
	}
	return s.SetFlags(scanFlags), nil
}

// scanMemory returns the names of the rules that match, at most maxNames.
func (c *compiledRules) scanMemory(content []byte, executable bool, limit time.Duration) ([]string, error) {
	return c.scan(executable, limit, func(s *yara.Scanner) error { return s.ScanMem(content) })
}

// scanWindows is scanMemory for content that is fetched part by part; rules
// see the size and the offsets of the whole.
func (c *compiledRules) scanWindows(w *windows, executable bool, limit time.Duration) ([]string, error) {
	return c.scan(executable, limit, func(s *yara.Scanner) error {
		w.held = 0 // libyara brings a new buffer
		return s.ScanMemBlocks(blocks{w})
	})
}

func (c *compiledRules) scan(executable bool, limit time.Duration, search func(*yara.Scanner) error) ([]string, error) {
	scanners := []*yara.Scanner{c.any}
	if executable {
		scanners = append(scanners, c.executable)
	}
	var found matches
	for _, s := range scanners {
		if s == nil {
			continue
		}
		s.SetCallback(&found).SetTimeout(max(limit, time.Second)) // below one second libyara takes it for none
		if err := search(s); err == errTimeout {
			return nil, errScanTimeout
		} else if err != nil {
			return nil, fmt.Errorf("yara: %w", err)
		}
	}
	return found, nil
}

// matches collects names. It is called from C and must not panic.
type matches []string

func (m *matches) RuleMatching(_ *yara.ScanContext, r *yara.Rule) (bool, error) {
	if len(*m) < maxNames {
		*m = append(*m, clean(r.Namespace()+":"+r.Identifier(), maxName))
	}
	return false, nil
}

// blocks gives libyara the windows. It is called from C and must not panic.
type blocks struct{ *windows }

func (b blocks) First() *yara.MemoryBlock { return b.block(b.first()) }
func (b blocks) Next() *yara.MemoryBlock  { return b.block(b.step()) }
func (b blocks) Filesize() uint64         { return uint64(b.size) }

func (b blocks) block(i int, s span, ok bool) *yara.MemoryBlock {
	if !ok {
		return nil
	}
	return &yara.MemoryBlock{
		Base: uint64(s.off), Size: uint64(s.length),
		FetchData: func(buf []byte) { b.fill(i, buf) },
	}
}
