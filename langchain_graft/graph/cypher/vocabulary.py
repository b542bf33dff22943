"""The words and calls of Cypher that only read."""

CLAUSES = frozenset(
    "MATCH OPTIONAL WHERE WITH RETURN ORDER SKIP OFFSET LIMIT UNWIND CALL UNION YIELD FINISH "
    "FILTER LET NEXT WHEN ELSE SEARCH FOR".split()
)
"""What a clause of a reading statement begins with (Cypher 5 and 25)."""

WRITING = frozenset(
    "CREATE MERGE SET DELETE DETACH NODETACH REMOVE FOREACH INSERT LOAD DROP ALTER GRANT DENY "
    "REVOKE RENAME START STOP SHOW TERMINATE USE PERIODIC COMMIT REALLOCATE DEALLOCATE ENABLE "
    "DRYRUN CALL EXPLAIN PROFILE".split()
)
"""What other statements begin with: no variable's name where it could be taken for a clause."""

INFIX = frozenset("AND OR XOR IN CONTAINS FOR".split())
"""Between two operands."""

TYPES = frozenset(
    "NULL NOT BOOL BOOLEAN VARCHAR STRING INT SIGNED INTEGER FLOAT DATE LOCAL ZONED TIME DATETIME "
    "TIMESTAMP TIMEZONE ZONE "
    "WITHOUT DURATION POINT NODE VERTEX RELATIONSHIP EDGE MAP LIST ARRAY PATH "
    "PATHS PROPERTY VALUE ANY NOTHING NORMALIZED UUID VECTOR FLOAT32 FLOAT64 INT8 INT16 INT32 "
    "INT64 INTEGER8 INTEGER16 INTEGER32 INTEGER64 UNSIGNED".split()
)
"""In `IS :: INTEGER NOT NULL` and `IS NFC NORMALIZED`."""

READ_FUNCTIONS = frozenset(
    """
    abs acos acosh all allreduce allshortestpaths any asin asinh atan atan2 atanh avg btrim
    cardinality ceil ceiling char_length character_length coalesce coll.distinct coll.flatten
    coll.indexof coll.insert coll.max coll.min coll.remove coll.sort collect cos cosh cot coth
    count date date.realtime date.statement date.transaction date.truncate datetime
    datetime.fromepoch datetime.fromepochmillis datetime.realtime datetime.statement
    datetime.transaction datetime.truncate degrees duration
    duration.between duration.indays duration.inmonths duration.inseconds duration_between e
    element_id elementid elementof endnode exists exp floor format format_date haversin head id
    isempty isnan keys labels last left length local_datetime local_time localdatetime
    localdatetime.realtime localdatetime.statement localdatetime.transaction
    localdatetime.truncate localtime localtime.realtime localtime.statement
    localtime.transaction localtime.truncate log log10 lower ltrim max min nodes none normalize
    nullif path_length percentile_cont percentile_disc percentilecont percentiledisc pi point
    point.distance point.withinbbox power properties radians rand randomuuid range reduce
    relationships replace reverse right round rtrim shortestpath sign sin single sinh size
    split sqrt startnode stddev_pop stddev_samp stdev stdevp string.indexof string.join
    string.regexreplace substring sum tail tan tanh time time.realtime time.statement
    time.transaction time.truncate timestamp toboolean tobooleanlist tobooleanornull tofloat
    tofloatlist tofloatornull tointeger tointegerlist tointegerornull tolower tostring
    tostringlist tostringornull toupper trim type upper valuetype vector
    vector.similarity.cosine vector.similarity.euclidean vector_dimension_count vector_distance
    vector_norm zoned_datetime zoned_time
    """.split()
)
"""Cypher's own functions that only compute; in lower case."""

READ_PROCEDURES = frozenset(
    """
    db.index.fulltext.listavailableanalyzers db.index.fulltext.querynodes
    db.index.fulltext.queryrelationships db.index.vector.querynodes
    db.index.vector.queryrelationships db.info db.labels db.ping db.propertykeys
    db.relationshiptypes db.schema.nodetypeproperties db.schema.reltypeproperties
    db.schema.visualization
    """.split()
)
"""Procedures that only read the graph and its indexes; in lower case."""
