package console

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"sekisho/transfer"
	"sekisho/transfer/manifest"
)

// Exit codes of both programs.
const (
	ExitDone    = 0 // done and clean; accepted
	ExitTrouble = 1 // try again
	ExitUsage   = 2 // the command or the configuration is wrong
	ExitHeld    = 3 // held or refused
	ExitPartial = 4 // sealed in part: files were left out by policy
)

// UsageError is a wrong command or configuration: nothing was done.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }
func (e *UsageError) Unwrap() error { return e.Err }

// Usagef makes a UsageError.
func Usagef(format string, args ...any) error { return &UsageError{fmt.Errorf(format, args...)} }

// ErrPartial ends a command that sealed a transfer without some files. It has
// been reported.
var ErrPartial = errors.New("sealed in part")

// ExitCode is the one place where an error becomes an exit code. What is
// unknown is trouble, never success.
func ExitCode(err error) int {
	var r *transfer.Refusal
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return ExitDone
	case errors.Is(err, ErrPartial):
		return ExitPartial
	case errors.As(err, new(*UsageError)):
		return ExitUsage
	case errors.Is(err, ErrRecords), errors.As(err, &r) && !r.Reason.Trouble():
		return ExitHeld
	}
	return ExitTrouble
}

// Worse returns the error with the graver exit code: held before trouble before
// partial before done.
func Worse(a, b error) error {
	rank := func(err error) int {
		return map[int]int{ExitDone: 0, ExitPartial: 1, ExitUsage: 2, ExitTrouble: 3, ExitHeld: 4}[ExitCode(err)]
	}
	if rank(b) > rank(a) {
		return b
	}
	return a
}

// saidError was reported where it happened; it only decides the exit code.
type saidError struct{ error }

func (e saidError) Unwrap() error { return e.error }

// Said marks an error as reported.
func Said(err error) error {
	if err == nil {
		return nil
	}
	return saidError{err}
}

// Exit reports what ended a command, if that was not done yet, and returns the
// exit code.
func Exit(c *Console, program string, err error) int {
	code := ExitCode(err)
	var r *transfer.Refusal
	switch {
	case code == ExitDone, errors.Is(err, ErrPartial), errors.As(err, new(saidError)):
	case code == ExitUsage:
		c.Note("%s: %v", program, err)
	case errors.Is(err, ErrRecords):
		if c.JSON {
			c.Print(resultLine{Result: Refused, Reason: transfer.Failed})
		}
		_ = c.faulty(err)
	case code == ExitTrouble && errors.Is(err, context.Canceled): // whatever it broke on its way
		c.Result(Trouble, transfer.Stopped, "", nil)
	case errors.As(err, &r) && code == ExitHeld:
		c.Result(Refused, r.Reason, "", r)
	case errors.As(err, &r):
		c.Result(Trouble, r.Reason, "", r)
	default:
		c.Result(Trouble, transfer.Failed, "", err)
	}
	return code
}

// Command is one command of a program.
type Command struct {
	Name  string // one or two words
	Args  string // for the usage line
	Short string
	Run   func(ctx context.Context, c *Console, args []string) error
}

// Run finds the command that args name and runs it.
func Run(ctx context.Context, c *Console, program string, commands []Command, args []string) error {
	if len(args) > 0 && (args[0] == "-h" || args[0] == "-help" || args[0] == "--help" || args[0] == "help") {
		fmt.Fprint(c.Out, Usage(program, commands))
		return nil
	}
	for words := min(2, len(args)); words > 0; words-- {
		name := strings.Join(args[:words], " ")
		for _, cmd := range commands {
			if cmd.Name == name {
				return cmd.Run(ctx, c, args[words:])
			}
		}
	}
	words := args[:min(2, len(args))]
	if i := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "-") }); i >= 0 {
		words = words[:i]
	}
	if len(words) > 0 {
		return Usagef("there is no command %q; %s help lists them", strings.Join(words, " "), program)
	}
	return Usagef("which command?\n%s", strings.TrimSuffix(Usage(program, commands), "\n"))
}

// Usage lists the commands.
func Usage(program string, commands []Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "usage: %s COMMAND -config FILE …\n\n", program)
	wide := 13
	for _, cmd := range commands {
		wide = max(wide, len(cmd.Name))
	}
	for _, cmd := range commands {
		fmt.Fprintf(&b, "  %-*s  %s\n", wide, cmd.Name, cmd.Short)
	}
	fmt.Fprintf(&b, "\n%s COMMAND -h explains a command; man %s has everything.\n", program, program)
	return b.String()
}

// Flags is a flag set with the flags that every command has.
type Flags struct {
	*flag.FlagSet
	Config string
	name   string // of the command
	lang   string
	json   bool
}

// NewFlags makes the flags of a command.
func NewFlags(program, name, args, short string) *Flags {
	f := newFlags(program, name)
	f.StringVar(&f.Config, "config", "", "configuration `file`")
	return f.common(program, args, short)
}

// NewOfflineFlags makes those of a command that knows no configuration: it runs
// on a machine that has nothing but this program.
func NewOfflineFlags(program, name, args, short string) *Flags {
	f := newFlags(program, name)
	return f.common(program, args, short)
}

func newFlags(program, name string) *Flags {
	f := &Flags{FlagSet: flag.NewFlagSet(program+" "+name, flag.ContinueOnError), name: name}
	f.SetOutput(io.Discard)
	return f
}

func (f *Flags) common(program, args, short string) *Flags {
	f.StringVar(&f.lang, "lang", "", "language of messages: en or ja; default from LANG")
	f.BoolVar(&f.json, "json", false, "print JSON Lines")
	f.Usage = func() {
		fmt.Fprintf(f.Output(), "usage: %s %s %s\n%s\n\n", program, f.name, args, short)
		f.PrintDefaults()
	}
	return f
}

// Staff adds the flag that says who is at work.
func (f *Flags) Staff(staff *string) {
	f.StringVar(staff, "staff", "", "opaque `number` of the person at work, for the records")
}

// CheckStaff refuses what cannot be such a number, a name for one.
func CheckStaff(staff string) error {
	if staff != "" && !manifest.ValidName(staff) {
		return Usagef("-staff %q: letters, digits, - and _, at most 32", staff)
	}
	return nil
}

// Parse parses flags anywhere among the arguments and returns the rest, which
// must be as many as want.
func (f *Flags) Parse(c *Console, args []string, want int) ([]string, error) {
	rest, err := f.parse(c, args)
	if err != nil {
		return nil, err
	}
	if len(rest) != want {
		return nil, Usagef("%s: want %s beside the flags, got %q; -h explains", f.name, Count(int64(want), "argument"), rest)
	}
	if err := f.configured(); err != nil {
		return nil, err
	}
	return rest, nil
}

// ParseSome is Parse for a command that takes one argument or more.
func (f *Flags) ParseSome(c *Console, args []string) ([]string, error) {
	rest, err := f.parse(c, args)
	if err != nil {
		return nil, err
	}
	if len(rest) == 0 {
		return nil, Usagef("%s: want an argument beside the flags; -h explains", f.name)
	}
	if err := f.configured(); err != nil {
		return nil, err
	}
	return rest, nil
}

func (f *Flags) configured() error {
	if f.Config == "" && f.Lookup("config") != nil {
		return Usagef("%s: -config FILE is missing", f.name)
	}
	return nil
}

func (f *Flags) parse(c *Console, args []string) ([]string, error) {
	var rest []string
	for {
		if err := f.FlagSet.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				f.SetOutput(c.Out)
				f.Usage()
				return nil, err
			}
			return nil, Usagef("%s: %w; -h explains", f.name, err)
		}
		args = f.Args()
		if len(args) == 0 {
			break
		}
		rest, args = append(rest, args[0]), args[1:]
	}
	c.JSON = c.JSON || f.json
	switch f.lang {
	case "en", "ja":
		c.Lang = f.lang
	case "":
	default:
		return nil, Usagef("-lang %q: want en or ja", f.lang)
	}
	return rest, nil
}
