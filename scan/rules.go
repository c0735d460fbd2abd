package scan

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// maxRuleFile bounds one file of rules, in bytes.
const maxRuleFile = 64 << 20

// loadRules reads the built-in rules and the customers': files, or folders with
// all their .yar and .yara files. The built-in rules for executables run on
// executables only; how a customer's rules were meant is not known, so they
// run on everything. A path without any rule is refused: it would look like
// protection.
func loadRules(builtin fs.FS, paths []string) ([]rule, Definitions, error) {
	d := Definitions{Engine: yaraName, Demonstration: len(paths) == 0}
	var rules []rule
	for _, set := range []string{"any", "executable"} {
		names, err := fs.Glob(builtin, "yara/"+set+"/*.yar")
		if err != nil {
			return nil, d, fmt.Errorf("yara: %w", err)
		}
		for _, name := range names {
			text, err := fs.ReadFile(builtin, name)
			if err != nil {
				return nil, d, fmt.Errorf("yara: %w", err)
			}
			rules = append(rules, rule{Namespace: "sekisho", Executable: set == "executable", Text: string(text)})
			d.add("sekisho/"+strings.TrimPrefix(name, "yara/"), text, time.Time{})
		}
	}
	for _, root := range paths {
		before := len(rules)
		err := filepath.WalkDir(root, func(p string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if ext := filepath.Ext(p); entry.IsDir() || p != root && ext != ".yar" && ext != ".yara" {
				return nil
			}
			text, made, err := readBounded(p, maxRuleFile)
			if err != nil {
				return err
			}
			name := filepath.ToSlash(strings.TrimPrefix(strings.TrimPrefix(p, filepath.Dir(root)), "/"))
			rules = append(rules, rule{Namespace: name, Text: string(text)})
			d.add(name, text, made)
			return nil
		})
		if err != nil {
			return nil, d, fmt.Errorf("yara: reading rules: %w", err)
		}
		if len(rules) == before {
			return nil, d, fmt.Errorf("yara: no .yar or .yara file in %q", root)
		}
	}
	d.finish()
	return rules, d, nil
}

func readBounded(name string, limit int64) ([]byte, time.Time, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, time.Time{}, err
	}
	if !info.Mode().IsRegular() {
		return nil, time.Time{}, fmt.Errorf("%q is not a regular file", name)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%q is larger than %d bytes", name, limit)
	}
	return data, info.ModTime().UTC(), err
}
