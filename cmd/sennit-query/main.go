// Sennit-query asks the tables that `sennit replay --sink parquet:DIR` and `sennit
// up` write, with DuckDB built in. It is a module of its own: DuckDB is C++, and
// sennit stays free of it.
package main

import (
	"context"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
