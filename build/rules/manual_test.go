package rules

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sekisho/app/console"
	"sekisho/transfer"
)

var programs = []string{"kiosk", "gate"}

func page(t *testing.T, program string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "build/man", program+".1"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), `\(dq`, `"`)
}

// find returns what the expression's group matches, sorted.
func find(expression, text string) []string {
	var all []string
	for _, m := range regexp.MustCompile(expression).FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Each command has a section in the page with the usage line that -h shows and
// with the flags that it takes, and the page has no others.
func TestManualHasEveryCommand(t *testing.T) {
	bin := t.TempDir()
	goTool(t, "build", "-o", bin+"/", "./app/kiosk", "./app/gate")
	for _, program := range programs {
		help := func(args ...string) string {
			out, err := exec.Command(filepath.Join(bin, program), args...).Output()
			if err != nil {
				t.Fatalf("%s %q: %v", program, args, err)
			}
			return string(out)
		}
		text := page(t, program)
		common := find(`(?m)^\.It Fl (\S+)`, section(text, ".Sh COMMANDS", ".Ss "))
		commands := find(`(?m)^  (\S+(?: \S+)?)  +\S`, help("help"))
		if want := find(`(?m)^\.Ss (.+)$`, section(text, ".Sh COMMANDS", ".Sh ")); len(commands) < 9 || !slices.Equal(commands, want) {
			t.Errorf("%s has the commands\n%q, its page\n%q", program, commands, want)
		}
		for _, command := range commands {
			if command == "version" {
				continue // takes no flags
			}
			out := help(append(strings.Fields(command), "-h")...)
			part := section(text, ".Ss "+command+"\n", ".Ss ", ".Sh ")
			takes := find(`(?m)^  -(\S+)`, out)
			shown := append(slices.Clone(common), find(`(?m)^\.It Fl (\S+)`, part)...)
			if strings.Contains(part, "\nIt takes no\n.Fl config") { // it runs where nothing is configured
				shown = slices.DeleteFunc(shown, func(f string) bool { return f == "config" })
			}
			slices.Sort(shown)
			if len(takes) < 3 || !slices.Equal(takes, shown) {
				t.Errorf("%s %s takes the flags %q, its page has %q", program, command, takes, shown)
			}
			usage, _, _ := strings.Cut(out, "\n")
			if !strings.Contains(part, "\n"+strings.TrimPrefix(usage, "usage: ")+"\n") {
				t.Errorf("the page of %s lacks %q", program, usage)
			}
		}
	}
}

// section is the text from the line begin to the next line that begins with one
// of ends.
func section(text, begin string, ends ...string) string {
	_, rest, found := strings.Cut(text, "\n"+begin)
	if !found {
		return ""
	}
	for _, end := range ends {
		rest, _, _ = strings.Cut(rest, "\n"+end)
	}
	return rest + "\n"
}

// Each page has the reasons, with the text that people read.
func TestManualHasEveryReason(t *testing.T) {
	for _, program := range programs {
		part := section(page(t, program), ".Sh REASONS", ".Sh ")
		var names []string
		for _, r := range transfer.Reasons {
			names = append(names, string(r))
			what := strings.ReplaceAll(console.TextOf(r, "en").What, ". ", ".\n") // a line for each sentence
			if !strings.Contains(part, "\n.It Li "+string(r)+"\n"+what+"\n") {
				t.Errorf("the page of %s lacks the reason %s: %s", program, r, what)
			}
		}
		slices.Sort(names)
		if shown := find(`(?m)^\.It Li (\S+)$`, part); !slices.Equal(names, shown) {
			t.Errorf("the reasons are\n%q, in the page of %s\n%q", names, program, shown)
		}
	}
}

// Each page has the exit codes and every field that -json prints.
func TestManualHasExitCodesAndFields(t *testing.T) {
	for _, program := range programs {
		text := page(t, program)
		if codes := find(`(?m)^\.It (\d)$`, section(text, ".Sh EXIT STATUS", ".Sh ")); !slices.Equal(codes, []string{"0", "1", "2", "3", "4"}) {
			t.Errorf("the page of %s has the exit codes %q", program, codes)
		}
		var code strings.Builder
		for _, dir := range []string{"app/console", "app/" + program} {
			files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
			if err != nil || len(files) == 0 {
				t.Fatalf("%s: %d files, %v", dir, len(files), err)
			}
			for _, name := range files {
				if strings.HasSuffix(name, "_test.go") {
					continue
				}
				data, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				code.Write(data)
			}
		}
		fields := find(`json:"(\w+)`, code.String())
		part := section(text, ".Sh OUTPUT FOR PROGRAMS", ".Sh ")
		for _, field := range fields {
			if !strings.Contains(part, `"`+field+`"`) {
				t.Errorf("the page of %s lacks the field %q", program, field)
			}
		}
		if len(fields) < 8 {
			t.Errorf("%s prints only the fields %q", program, fields)
		}
	}
}
