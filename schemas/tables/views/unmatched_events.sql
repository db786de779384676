-- Evidence that is in no request at its last revision: what is nobody's, what may be
-- one of several requests', and what came too late. Newest first.
SELECT
  e.date,
  e.event_time,
  e.event_id,
  e.kind,
  e.source,
  e.node,
  e.namespace,
  e.pod,
  e.pid,
  e.name,
  e.verdict,
  e.destination,
  e.trace_id
FROM {{from "events_current"}} AS e
LEFT JOIN (
  SELECT DISTINCT event_id
  FROM {{from "steps_current"}} AS s
  CROSS JOIN {{unnest "s.event_ids" "event_id"}}
) AS used
  ON e.event_id = used.event_id
WHERE used.event_id IS NULL AND e.kind NOT IN ('pod', 'service', 'loss')
ORDER BY 2 DESC, 3
