// Kiosk is the program on the clinical side: it prepares the day's export into
// bags and writes them, sealed, to the drive that is carried to the gate.
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
	{Name: "prepare", Short: "read, scan and pack a source into the outbox", Run: runPrepare},
	{Name: "write", Short: "write the bags that are due to a drive and seal them", Run: runWrite},
	{Name: "send", Short: "prepare and write in one", Run: runSend},
	{Name: "seal", Short: "seal what was written while the kiosk's state was not approved", Run: runSeal},
	{Name: "outbox", Short: "list what waits for a drive or a receipt", Run: runOutbox},
	{Name: "log list", Short: "list the data transfer records", Run: runLogList},
	{Name: "log verify", Short: "check that no record was changed or removed", Run: runLogVerify},
	{Name: "enrol request", Short: "make the file that asks a gate to enrol this kiosk", Run: runEnrolRequest},
	{Name: "enrol answer", Short: "answer the gate's challenge and trust the gate", Run: runEnrolAnswer},
	{Name: "enrol trust", Short: "trust the gate whose keys are in a file", Run: runEnrolTrust},
	{Name: "measure", Short: "extend the TPM with this program and its files, once at each start", Run: runMeasure},
	{Name: "state", Short: "show the measured state, and whether IT has approved it", Run: runState},
	{Name: "approve", Short: "take IT's approval of a state", Run: runApprove},
	{Name: "version", Short: "say which version this is", Run: runVersion},
}

// run carries one command out and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c := console.New(stdout, stderr, console.Language())
	err := console.Run(ctx, c, "kiosk", commands, args)
	return console.Exit(c, "kiosk", err)
}

func runVersion(_ context.Context, c *console.Console, args []string) error {
	if len(args) > 0 {
		return console.Usagef("version takes no arguments: %q", args)
	}
	c.Say("sekisho kiosk %s", version)
	return nil
}
