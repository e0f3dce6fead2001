"""Operations of AWS's Security Token Service: clients and tools ask who they are before anything else."""
