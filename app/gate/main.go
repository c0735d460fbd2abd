// Gate is the program on the isolated backup server: it takes drives in, keeps
// what is complete, clean and sealed by an enrolled kiosk, and gives it back.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"sekisho/app/console"
	"sekisho/scan"
)

// Version is set by the build.
var version = "devel"

func main() {
	if len(os.Args) > 1 && os.Args[1] == "scan-worker" {
		os.Exit(scan.WorkerMain())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

var commands = []console.Command{
	{Name: "import", Short: "take the transfers on a drive into the vault", Run: runImport},
	{Name: "verify", Short: "check the transfers on a drive, keeping nothing", Run: runVerify},
	{Name: "list", Short: "list the generations in the vault", Run: runList},
	{Name: "restore", Short: "give the files of a generation back", Run: runRestore},
	{Name: "keys create", Short: "make the gate's keys and the recovery key", Run: runKeysCreate},
	{Name: "keys show", Short: "show the digest of the key set", Run: runKeysShow},
	{Name: "enrol accept", Short: "enrol the kiosk whose request is in a file", Run: runEnrolAccept},
	{Name: "enrol list", Short: "list the enrolled kiosks", Run: runEnrolList},
	{Name: "log list", Short: "list the data transfer records", Run: runLogList},
	{Name: "log verify", Short: "check that no record was changed or removed", Run: runLogVerify},
	{Name: "version", Short: "say which version this is", Run: runVersion},
}

// run carries one command out and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c := console.New(stdout, stderr, console.Language())
	err := console.Run(ctx, c, "gate", commands, args)
	return console.Exit(c, "gate", err)
}

func runVersion(_ context.Context, c *console.Console, args []string) error {
	if len(args) > 0 {
		return console.Usagef("version takes no arguments: %q", args)
	}
	c.Say("sekisho gate %s", version)
	return nil
}
