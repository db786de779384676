// Watch runs an agent under load, lets sennit watch it from outside and take its
// spans, and scores what sennit made of it against what the agent, its model and
// its clients say that really happened.
//
//	go run ./watch --sennit ../../bin/sennit --agent adk --requests 300 --in-flight 16
//
// It must be root, and run in the folder of this module. What is printed is the
// output of sennit score -o json.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	var o options
	flag.StringVar(&o.sennit, "sennit", "sennit", "the program that watches")
	flag.StringVar(&o.agent, "agent", "adk", "who is watched: adk, node or python")
	flag.IntVar(&o.requests, "requests", 300, "how many requests")
	flag.IntVar(&o.inFlight, "in-flight", 16, "how many at a time")
	flag.BoolVar(&o.vertex, "vertex", false, "the back end whose client sends a traceparent (adk alone)")
	flag.BoolVar(&o.stream, "stream", false, "the model streams its answers")
	flag.BoolVar(&o.gzip, "gzip", false, "the model compresses its answers")
	flag.BoolVar(&o.tls, "tls", true, "look into TLS")
	flag.StringVar(&o.dir, "keep", "", "leave everything in this `FOLDER`, which must not exist; with --page a folder for each agent, and those that are there are only scored again")
	page := flag.String("page", "", "run all agents and write their figures to this `FILE`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := watch(ctx, o, *page); err != nil {
		log.Fatal("watch: ", err)
	}
}

func watch(ctx context.Context, o options, page string) (err error) {
	if o.programs, err = os.MkdirTemp("", "agents-"); err != nil {
		return err
	}
	defer os.RemoveAll(o.programs)
	if err := build(ctx, o.programs); err != nil {
		return err
	}
	if page != "" {
		return table(ctx, o, page)
	}
	report, err := run(ctx, o)
	if err != nil {
		return err
	}
	fmt.Print(report)
	return nil
}
