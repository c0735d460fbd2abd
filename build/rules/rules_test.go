// Package rules holds the tree to its rules: who may import whom, and what the
// manual must say. It is tests only; nothing can import it.
package rules

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../.." // from the folder in which this test runs
	module = "sekisho/"
)

// ours says which packages of this module each may import; "x/*" is x and all
// below it, "build/" none of which is the product.
var ours = map[string][]string{
	"app/config":              {"scan", "transfer/*"},
	"app/console":             {"assets", "transfer/*"},
	"app/gate":                {"app/config", "app/console", "app/sheet", "app/state", "scan", "transfer/*"},
	"app/kiosk":               {"app/config", "app/console", "app/screens", "app/staff", "app/state", "scan", "transfer/*"},
	"app/sheet":               {"assets"},
	"app/state":               {"app/config", "app/console", "assets", "scan", "transfer/*"},
	"app/internal/script":     {"app/config", "app/console", "transfer/*"}, // for the programs' tests
	"app/screens":             {"app/staff", "assets", "scan", "transfer/*"},
	"app/staff":               nil,
	"assets":                  nil,
	"scan":                    nil,
	"transfer":                {"scan", "transfer/*"},
	"transfer/approval":       {"transfer/canonical", "transfer/durable", "transfer/measure", "transfer/seal"},
	"transfer/canonical":      nil,
	"transfer/enrol":          {"transfer/canonical", "transfer/manifest", "transfer/measure", "transfer/seal"},
	"transfer/measure":        {"transfer/durable"},
	"transfer/drive":          {"transfer/durable"},
	"transfer/durable":        nil,
	"transfer/ledger":         {"transfer/durable"},
	"transfer/manifest":       nil,
	"transfer/outbox":         {"transfer/durable", "transfer/manifest"},
	"transfer/seal":           {"transfer/canonical", "transfer/measure"},
	"transfer/source":         nil,
	"transfer/vault":          {"transfer/durable", "transfer/manifest"},
	"build/mkexport":          {"build/mkexport/hostile"},
	"build/nightbench":        nil,
	"transfer/manifest/bagit": nil,
	"build/mkexport/hostile":  nil,
}

// never is what a package may not import although the line above would let it.
var never = map[string][]string{
	"app/kiosk": {"transfer/vault"}, // the vault is the gate's
}

// others says who may import a module of others, and whether in one file only.
var others = map[string]struct {
	by      []string
	oneFile bool
}{
	"codeberg.org/go-pdf/fpdf":          {by: []string{"app/sheet"}, oneFile: true},
	"filippo.io/age":                    {by: []string{"app/gate", "app/internal/script", "transfer", "transfer/approval", "transfer/outbox"}},
	"fyne.io/fyne":                      {by: []string{"app/kiosk", "app/screens"}},
	"github.com/aws/aws-sdk-go-v2":      {by: []string{"transfer/vault"}, oneFile: true},
	"github.com/dutchcoders/go-clamd":   {by: []string{"scan"}, oneFile: true},
	"github.com/elastic/go-seccomp-bpf": {by: []string{"scan"}, oneFile: true},
	"github.com/google/go-attestation":  {by: []string{"transfer/enrol"}, oneFile: true},
	"github.com/google/go-tpm":          {by: []string{"app/internal/script", "transfer/seal"}}, // the former to reset a chip
	"github.com/hillu/go-yara":          {by: []string{"scan"}, oneFile: true},
	"github.com/pelletier/go-toml":      {by: []string{"app/config", "app/console"}},
	"github.com/rogpeppe/go-internal":   {by: []string{"app/internal/script"}},
	"golang.org/x/crypto":               {by: []string{"transfer/enrol", "transfer/seal"}},
	"golang.org/x/mod":                  {by: []string{"transfer/ledger"}},
	"golang.org/x/sync":                 {by: []string{"scan", "transfer", "transfer/drive"}},
	"golang.org/x/sys": {by: []string{"app/internal/script", "build/mkexport/hostile", "scan", "transfer", "transfer/drive", "transfer/durable",
		"transfer/measure", "transfer/outbox", "transfer/seal", "transfer/source", "transfer/vault"}},
	"golang.org/x/term": {by: []string{"app/console"}},
	"rsc.io/qr":         {by: []string{"app/sheet"}, oneFile: true},
	"golang.org/x/text": {by: []string{"build/mkexport", "transfer/manifest/bagit"}},
}

// file is one Go file that is no test.
type file struct {
	path    string // in the tree
	pkg     string // its folder
	name    string // of its package
	comment bool   // it has the package's comment
	imports []string
}

func sources(t *testing.T) []file {
	t.Helper()
	var all []file
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != root && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		one := file{path: rel, pkg: path.Dir(rel), name: f.Name.Name, comment: f.Doc != nil}
		for _, i := range f.Imports {
			name, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			one.imports = append(one.imports, name)
		}
		all = append(all, one)
		return nil
	})
	if err != nil || len(all) < 100 {
		t.Fatalf("%d Go files, %v", len(all), err)
	}
	return all
}

// within says whether one of the patterns means the package.
func within(pkg string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		below, all := strings.CutSuffix(p, "/*")
		return pkg == below || all && strings.HasPrefix(pkg, below+"/")
	})
}

func TestImports(t *testing.T) {
	in := make(map[string][]string) // files that import a module of others
	for _, f := range sources(t) {
		allowed, known := ours[f.pkg]
		if !known {
			t.Errorf("%s: package %s has no line in ours: say which packages it may import", f.path, f.pkg)
		}
		for _, name := range f.imports {
			if pkg, ok := strings.CutPrefix(name, module); ok {
				if !within(pkg, allowed) || within(pkg, never[f.pkg]) {
					t.Errorf("%s: %s may not import %s", f.path, f.pkg, pkg)
				}
				continue
			}
			first, _, _ := strings.Cut(name, "/")
			if !strings.Contains(first, ".") {
				continue // Go's own
			}
			found := false
			for mod, rule := range others {
				if name != mod && !strings.HasPrefix(name, mod+"/") {
					continue
				}
				found = true
				if !slices.Contains(rule.by, f.pkg) {
					t.Errorf("%s: %s may not import %s", f.path, f.pkg, name)
				}
				if rule.oneFile && !slices.Contains(in[mod], f.path) {
					in[mod] = append(in[mod], f.path)
				}
			}
			if !found {
				t.Errorf("%s: %s has no line in others: say who may import it", f.path, name)
			}
		}
	}
	for mod, files := range in {
		if len(files) > 1 {
			t.Errorf("%s belongs in one file and is in %q", mod, files)
		}
	}
}

// A stale line would let something in unseen.
func TestTablesAreCurrent(t *testing.T) {
	planned := []string{"app/screens", "app/staff", "fyne.io/fyne", "github.com/aws/aws-sdk-go-v2"}
	used := make(map[string]bool)
	for _, f := range sources(t) {
		used[f.pkg] = true
		for _, name := range f.imports {
			for mod := range others {
				used[mod] = used[mod] || name == mod || strings.HasPrefix(name, mod+"/")
			}
		}
	}
	for pkg := range ours {
		if !used[pkg] && !slices.Contains(planned, pkg) {
			t.Errorf("there is no package %s", pkg)
		}
	}
	for mod := range others {
		if !used[mod] && !slices.Contains(planned, mod) {
			t.Errorf("nothing imports %s", mod)
		}
	}
}

func TestPackages(t *testing.T) {
	comments := make(map[string]int)
	for _, f := range sources(t) {
		comments[f.pkg] += 0
		if f.comment {
			comments[f.pkg]++
		}
		if slices.Contains([]string{"utils", "util", "common", "helpers", "misc"}, f.name) {
			t.Errorf("%s: a package is named after a thing, not %s", f.path, f.name)
		}
		top, _, _ := strings.Cut(f.pkg, "/")
		if !slices.Contains([]string{"app", "assets", "build", "scan", "transfer"}, top) || f.pkg == "app" || f.pkg == "build" {
			t.Errorf("%s: no Go file belongs here", f.path)
		}
	}
	for pkg, n := range comments {
		if n != 1 {
			t.Errorf("package %s has %d package comments", pkg, n)
		}
	}
}

// The gate needs no display, and no C to verify a drive.
func TestGateStaysSmall(t *testing.T) {
	deps := string(goTool(t, "list", "-deps", "./app/gate"))
	if !strings.Contains(deps, module+"transfer\n") || strings.Contains(deps, "fyne.io") {
		t.Errorf("app/gate depends on:\n%s", deps)
	}
	build := exec.Command("go", "build", "./app/gate", "./transfer/...")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Errorf("without cgo: %v\n%s", err, out)
	}
}

func goTool(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %q: %v", args, err)
	}
	return out
}
