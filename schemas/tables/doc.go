// Package tables is what results look like as rows: the columns of each table,
// each once, with how its value comes from the published JSON. From these come
// the rows and the schema of BigQuery, the Parquet schema, and the SQL of tables
// and views for both engines.
//
// Columns are only ever added, at the end and nullable: files and tables that
// were written before stay readable.
package tables
