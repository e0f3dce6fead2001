"""What a journal is: its changes, its places, leaves, trees and heads. Pure."""
