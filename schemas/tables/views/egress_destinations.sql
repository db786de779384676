-- Where agents went outside the cluster, and since when. What was never seen on
-- the wire counts as outside.
SELECT
  COALESCE(agent, '') AS agent,
  destination,
  MIN(start_time) AS first_seen,
  MAX(start_time) AS last_seen,
  COUNT(DISTINCT timeline_id) AS requests,
  SUM(CASE WHEN status = 'denied' THEN 1 ELSE 0 END) AS denied
FROM {{from "steps_current"}}
WHERE destination IS NOT NULL AND layer <> 'dns' AND COALESCE(destination_public, TRUE)
GROUP BY 1, 2
ORDER BY 3, 1, 2
