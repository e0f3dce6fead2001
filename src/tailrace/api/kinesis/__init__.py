"""Operations of Kinesis Data Streams, one file each."""
